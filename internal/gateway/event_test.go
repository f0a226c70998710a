package gateway

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEvent compares with events that AWS gave (paths, parameters, nulls).
func TestEvent(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := courses("http://localhost:1")
	d.Variables = nil
	d.BinaryMediaTypes = []string{"image/*"}
	for _, path := range []string{"/{proxy+}", "/hardcoded", "/users/{id}/posts/{post}"} {
		d.Routes = append(d.Routes, Route{Path: path, Method: "ANY", ResourceID: "r9", AuthorizationType: "NONE", Integration: proxy("echo")})
	}
	k.publish(d)
	type event = map[string]any
	for name, c := range map[string]struct {
		path string
		want event
	}{
		"hardcoded": {"//hardcoded", event{"resource": "/hardcoded", "path": "/hardcoded", "requestPath": "/api//hardcoded",
			"pathParameters": nil, "queryStringParameters": nil, "multiValueQueryStringParameters": nil}},
		"double slash": {"/proxy-value//double-slash", event{"resource": "/{proxy+}", "path": "/proxy-value//double-slash", "requestPath": "/api/proxy-value//double-slash",
			"pathParameters": event{"proxy": "proxy-value//double-slash"}}},
		"trailing slash": {"/proxy-value/?urlparam=test", event{"path": "/proxy-value/", "requestPath": "/api/proxy-value/",
			"pathParameters": event{"proxy": "proxy-value"}, "queryStringParameters": event{"urlparam": "test"}, "multiValueQueryStringParameters": event{"urlparam": []any{"test"}}}},
		"encoded path": {"/proxy-value/api/user/test%2Balias@gmail.com/plus/test+alias@gmail.com", event{"path": "/proxy-value/api/user/test%2Balias@gmail.com/plus/test+alias@gmail.com",
			"pathParameters": event{"proxy": "proxy-value/api/user/test%2Balias@gmail.com/plus/test+alias@gmail.com"}}},
		"encoded query": {"/proxy-value/api?whitespace=foo%20bar&zhash=abort/&email=test%2Balias@gmail.com&plus=test+alias@gmail.com&url=https%3A%2F%2Fwww.google.com/", event{
			"queryStringParameters": event{"whitespace": "foo bar", "zhash": "abort/", "email": "test+alias@gmail.com", "plus": "test alias@gmail.com", "url": "https://www.google.com/"}}},
		"several values": {"/proxy-value?category=electronics&category=books&price=10&price=20&price=30", event{
			"queryStringParameters":           event{"category": "books", "price": "30"},
			"multiValueQueryStringParameters": event{"category": []any{"electronics", "books"}, "price": []any{"10", "20", "30"}}}},
		"two parameters": {"/users/7/posts/a%2Fb", event{"resource": "/users/{id}/posts/{post}", "pathParameters": event{"id": "7", "post": "a%2Fb"}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := k.serve(request("GET", c.path))
			var got event
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			got["requestPath"] = got["requestContext"].(event)["path"]
			for name, value := range c.want {
				if diff := cmp.Diff(value, got[name]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
			}
		})
	}
	t.Run("keys", func(t *testing.T) {
		r := request("POST", "/hardcoded", "User-Agent", "test", "Content-Type", "text/plain", "X-Forwarded-For", "10.0.0.1", "Connection", "close, X-Drop", "X-Drop", "1", "x_forwarded_for", "10.0.0.2")
		r.Body, r.ContentLength = httptest.NewRequest("POST", "/", strings.NewReader("hello \"you\"")).Body, 11
		got := map[string]any{}
		if err := json.Unmarshal(k.serve(r).Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		rc := got["requestContext"].(event)
		for _, name := range []string{"extendedRequestId", "requestId"} {
			if rc[name] == "" {
				t.Error(name)
			}
			delete(rc, name)
		}
		headers := got["headers"].(event)
		if headers["X-Amzn-Trace-Id"] == "" {
			t.Error("no trace")
		}
		delete(headers, "X-Amzn-Trace-Id")
		delete(got, "multiValueHeaders")
		wantEvent := event{
			"resource": "/hardcoded", "path": "/hardcoded", "httpMethod": "POST", "body": "hello \"you\"", "isBase64Encoded": false,
			"queryStringParameters": nil, "multiValueQueryStringParameters": nil, "pathParameters": nil, "stageVariables": nil,
			"headers": event{"Host": "abcdefghij.execute-api.us-east-1.localhost:4566", "User-Agent": "test", "Content-Type": "text/plain",
				"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Port": "4566", "X-Forwarded-Proto": "http"},
			"requestContext": event{"resourceId": "r9", "resourcePath": "/hardcoded", "httpMethod": "POST", "requestTime": "20/Nov/2026:12:00:00 +0000",
				"path": "/api/hardcoded", "accountId": account, "protocol": "HTTP/1.1", "stage": "api", "domainPrefix": apiID, "requestTimeEpoch": 1795176000000.0,
				"domainName": "abcdefghij.execute-api.us-east-1.localhost", "deploymentId": "dep123", "apiId": apiID,
				"identity": event{"cognitoIdentityPoolId": nil, "accountId": nil, "cognitoIdentityId": nil, "caller": nil, "sourceIp": "203.0.113.7", "principalOrgId": nil,
					"accessKey": nil, "cognitoAuthenticationType": nil, "cognitoAuthenticationProvider": nil, "userArn": nil, "userAgent": "test", "user": nil}},
		}
		if diff := cmp.Diff(wantEvent, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("binary", func(t *testing.T) {
		for contentType, want := range map[string]any{"image/png": "AAH/", "text/plain": "\x00\x01\ufffd"} {
			r := request("POST", "/hardcoded", "Content-Type", contentType)
			r.Body, r.ContentLength = httptest.NewRequest("POST", "/", strings.NewReader("\x00\x01\xff")).Body, 3
			got := map[string]any{}
			if err := json.Unmarshal(k.serve(r).Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got["body"] != want || got["isBase64Encoded"] != (contentType == "image/png") {
				t.Errorf("%s: got %q, %v", contentType, got["body"], got["isBase64Encoded"])
			}
		}
	})
}

// TestEvent_claims compares with the strings that published events show.
func TestEvent_claims(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	raw := k.id(map[string]any{"auth_time": 1574911451, "exp": 1795179600, "nothing": nil,
		"identities": []any{map[string]any{"userId": "1", "primary": "true", "issuer": nil}}, "custom:n": 1.5, "aud": "client-1"})
	var got struct {
		RequestContext struct{ Authorizer map[string]map[string]any }
	}
	if err := json.Unmarshal(k.serve(request("GET", "/courses", "Authorization", raw)).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"iss": issuerA, "sub": "sub-1", "token_use": "id", "exp": "Fri Nov 20 13:00:00 UTC 2026", "iat": "Fri Nov 20 12:00:00 UTC 2026",
		"auth_time": "1574911451", "cognito:username": "ann", "cognito:groups": "User,Admin", "email_verified": "true", "aud": "client-1",
		"identities": `{"issuer":null,"primary":"true","userId":"1"}`, "custom:n": "1.5"}
	if diff := cmp.Diff(want, got.RequestContext.Authorizer["claims"]); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if r := k.last(); r.Who != "ann" || r.Step != "respond" || r.Grounds != "a valid ID token" || r.Route != "GET /courses" || r.Status != 200 {
		t.Errorf("record: %+v", r)
	}
}

func TestEvent_identity(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.publish(courses("http://localhost:1"))
	var got struct {
		Headers        map[string]string
		RequestContext struct {
			Identity   map[string]any
			Authorizer any
		}
	}
	if err := json.Unmarshal(k.serve(signed(request("GET", "/progress"), "ASIAMEMBER", "member-session", region, noon)).Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"cognitoIdentityPoolId": "us-east-1:pool", "accountId": account, "cognitoIdentityId": "us-east-1:id", "caller": "AROAMember:CognitoIdentityCredentials",
		"sourceIp": "203.0.113.7", "principalOrgId": nil, "accessKey": "ASIAMEMBER", "cognitoAuthenticationType": "authenticated",
		"cognitoAuthenticationProvider": "cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool,cognito-idp.us-east-1.amazonaws.com/us-east-1_Pool:CognitoSignIn:sub-1",
		"userArn":                       "arn:aws:sts::000000000000:assumed-role/Member/CognitoIdentityCredentials", "userAgent": nil, "user": "AROAMember:CognitoIdentityCredentials"}
	if diff := cmp.Diff(want, got.RequestContext.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
	for _, name := range []string{"Authorization", "X-Amz-Security-Token"} {
		if v, there := got.Headers[name]; there {
			t.Errorf("the function gets to see %s: %s", name, v)
		}
	}
	if r := k.last(); r.Who != "arn:aws:sts::000000000000:assumed-role/Member/CognitoIdentityCredentials" || r.AccessKey != "ASIAMEMBER" || !strings.Contains(r.Grounds, "Invoke") {
		t.Errorf("record: %+v", r)
	}
}
