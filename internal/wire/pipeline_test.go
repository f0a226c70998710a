package wire_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
	"moat/internal/wire/stsapi"
)

// signatureCase is a call and what becomes of its proof.
type signatureCase struct {
	name   string
	q      request
	status int
	code   string
}

func bodySum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func setBody(s string) func(*http.Request) {
	return func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader(s)), int64(len(s)) }
}

func acceptedSignatures() []signatureCase {
	return []signatureCase{
		{"query", identity(), 200, ""},
		{"json", listPools(), 200, ""},
		{"rest", getFunction(), 200, ""},
		{"session", with(identity(), func(q *request) { q.key, q.secret, q.token = "ASIASESSION", "session", "token" }), 200, ""},
		{"presigned", request{service: "sts", method: "GET", target: "/?" + form("Action", "GetCallerIdentity"), presign: true}, 200, ""},
		{"presigned rest", with(getFunction(), func(q *request) { q.presign = true }), 200, ""},
		{"presigned session", request{service: "sts", method: "GET", target: "/?" + form("Action", "GetCallerIdentity"), presign: true, key: "ASIASESSION", secret: "session", token: "token"}, 200, ""},
		{"a clock of one's own in the future", with(identity(), func(q *request) { q.at = start.Add(5 * time.Minute) }), 200, ""},
		{"query in another order", with(getFunction(), func(q *request) {
			q.target += "?Qualifier=2&Other=1"
			q.after = func(r *http.Request) { r.URL.RawQuery = "Other=1&Qualifier=2" }
		}), 200, ""},
		{"declared hash", with(identity(), func(q *request) { q.hash = bodySum(q.body) }), 200, ""},
		{"four minutes old", with(identity(), func(q *request) { q.at = start.Add(-4 * time.Minute) }), 200, ""},
		{"iam region of old clients", with(identity(), func(q *request) { q.region = "us-east-1" }), 200, ""},
		{"host of the region", with(getFunction(), func(q *request) { q.host = "lambda.eu-west-1.amazonaws.com" }), 200, ""},
	}
}

// strangers are requests of nobody in particular, and the words of each protocol for them.
func strangers() []signatureCase {
	return []signatureCase{
		{"query unsigned", with(identity(), func(q *request) { q.key = "-" }), 403, "MissingAuthenticationToken"},
		{"json unsigned", with(listPools(), func(q *request) { q.key = "-" }), 400, "MissingAuthenticationTokenException"},
		{"rest unsigned", with(getFunction(), func(q *request) { q.key = "-" }), 403, "MissingAuthenticationTokenException"},
		{"query wrong secret", with(identity(), func(q *request) { q.secret = "Secret" }), 403, "SignatureDoesNotMatch"},
		{"json wrong secret", with(listPools(), func(q *request) { q.secret = "Secret" }), 400, "InvalidSignatureException"},
		{"rest wrong secret", with(getFunction(), func(q *request) { q.secret = "Secret" }), 403, "InvalidSignatureException"},
		{"query unknown key", with(identity(), func(q *request) { q.key = "AKIAOTHER" }), 403, "InvalidClientTokenId"},
		{"json unknown key", with(listPools(), func(q *request) { q.key = "AKIAOTHER" }), 400, "UnrecognizedClientException"},
		{"rest unknown key", with(getFunction(), func(q *request) { q.key = "AKIAOTHER" }), 403, "UnrecognizedClientException"},
		{"key without secret", with(identity(), func(q *request) { q.key = "AKIAEMPTY" }), 403, "InvalidClientTokenId"},
		{"no session token", with(identity(), func(q *request) { q.key, q.secret = "ASIASESSION", "session" }), 403, "InvalidClientTokenId"},
		{"foreign session token", with(identity(), func(q *request) { q.key, q.secret, q.token = "ASIASESSION", "session", "other" }), 403, "InvalidClientTokenId"},
		{"expired session", with(identity(), func(q *request) { q.key, q.secret, q.token = "ASIASESSION", "session", "old" }), 403, "ExpiredToken"},
		{"authority broken", with(identity(), func(q *request) { q.key = "AKIABROKEN" }), 500, "InternalFailure"},
	}
}

// forgeries are the nearest neighbours of accepted signatures.
func forgeries() []signatureCase {
	return []signatureCase{
		{"six minutes old", with(identity(), func(q *request) { q.at = start.Add(-6 * time.Minute) }), 403, "SignatureDoesNotMatch"},
		{"six minutes ahead", with(identity(), func(q *request) { q.at = start.Add(6 * time.Minute) }), 403, "SignatureDoesNotMatch"},
		{"presigned expired", request{service: "sts", method: "GET", target: "/?" + form("Action", "GetCallerIdentity"), presign: true, at: start.Add(-2 * time.Minute)}, 403, "SignatureDoesNotMatch"},
		{"presigned altered", request{service: "sts", method: "GET", target: "/?" + form("Action", "GetCallerIdentity"), presign: true,
			after: func(r *http.Request) { r.URL.RawQuery += "&Extra=1" }}, 403, "SignatureDoesNotMatch"},
		{"presigned for another host", request{service: "sts", method: "GET", target: "/?" + form("Action", "GetCallerIdentity"), presign: true,
			after: func(r *http.Request) { r.Host = "sts.amazonaws.com" }}, 403, "SignatureDoesNotMatch"},
		{"presigned for another call", request{service: "sts", method: "GET", target: "/?" + form("Action", "GetCallerIdentity"), presign: true,
			after: func(r *http.Request) {
				r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "GetCallerIdentity", "GetSessionToken", 1)
			}}, 403, "SignatureDoesNotMatch"},
		{"presigned for longer", with(getFunction(), func(q *request) {
			q.presign = true
			q.after = func(r *http.Request) {
				r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=60", "Expires=604800", 1)
			}
		}), 403, "InvalidSignatureException"},
		{"presigned for too long", with(getFunction(), func(q *request) {
			q.presign = true
			q.after = func(r *http.Request) {
				r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "Expires=60", "Expires=604801", 1)
			}
		}), 403, "IncompleteSignatureException"},
		{"presigned, the token added later", with(getFunction(), func(q *request) {
			q.presign, q.key, q.secret = true, "ASIASESSION", "session"
			q.after = func(r *http.Request) { r.URL.RawQuery += "&X-Amz-Security-Token=token" }
		}), 403, "InvalidSignatureException"},
		{"presigned, with a bearer", with(getFunction(), func(q *request) {
			q.presign = true
			q.after = func(r *http.Request) { r.Header.Set("Authorization", "Bearer abc") }
		}), 403, "IncompleteSignatureException"},
		{"presigned with a body", with(listPools(), func(q *request) { q.presign, q.body, q.after = true, "", setBody(`{"MaxResults":10}`) }), 400, "InvalidSignatureException"},
		{"presigned, an unsigned header", with(getFunction(), func(q *request) {
			q.presign = true
			q.after = func(r *http.Request) { r.Header.Set("X-Amz-Invocation-Type", "Event") }
		}), 403, "InvalidSignatureException"},
		{"a header repeated", with(listPools(), func(q *request) {
			q.after = func(r *http.Request) {
				r.Header.Add("X-Amz-Target", "AWSCognitoIdentityProviderService.DeleteUserPool")
			}
		}), 400, "InvalidSignatureException"},
		{"a date repeated", with(getFunction(), func(q *request) {
			q.after = func(r *http.Request) { r.Header.Add("X-Amz-Date", start.Format("20060102T150405Z")) }
		}), 403, "IncompleteSignatureException"},
		{"a query value moved to another name", with(getFunction(), func(q *request) {
			q.target += "?Qualifier=2&Other=1"
			q.after = func(r *http.Request) { r.URL.RawQuery = "Other=2&Qualifier=1" }
		}), 403, "InvalidSignatureException"},
		{"SigV4A", with(getFunction(), func(q *request) {
			q.after = func(r *http.Request) {
				r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1))
				r.Header.Set("X-Amz-Region-Set", "*")
			}
		}), 403, "IncompleteSignatureException"},
		{"presigned by SigV4A", with(getFunction(), func(q *request) {
			q.presign = true
			q.after = func(r *http.Request) {
				r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", 1)
			}
		}), 403, "IncompleteSignatureException"},
		{"both forms", with(identity(), func(q *request) {
			q.after = func(r *http.Request) { r.URL.RawQuery = "X-Amz-Algorithm=AWS4-HMAC-SHA256" }
		}), 400, "IncompleteSignature"},
		{"other service", with(identity(), func(q *request) { q.service, q.host = "lambda", "sts.amazonaws.com" }), 403, "SignatureDoesNotMatch"},
		{"other region than the host", with(getFunction(), func(q *request) { q.host = "lambda.us-east-1.amazonaws.com" }), 403, "InvalidSignatureException"},
		{"nonsense region", with(getFunction(), func(q *request) { q.region = "mars" }), 403, "InvalidSignatureException"},
		{"altered body", with(identity(), func(q *request) { q.after = setBody(form("Action", "GetSessionToken")) }), 403, "SignatureDoesNotMatch"},
		{"altered body, declared hash", with(listPools(), func(q *request) { q.hash, q.after = bodySum(q.body), setBody(`{"MaxResults":11}`) }), 400, "InvalidSignatureException"},
		{"altered body and hash", with(listPools(), func(q *request) {
			q.hash = bodySum(q.body)
			q.after = func(r *http.Request) {
				setBody(`{"MaxResults":11}`)(r)
				r.Header.Set("X-Amz-Content-Sha256", bodySum(`{"MaxResults":11}`))
			}
		}), 400, "InvalidSignatureException"},
		{"unsigned payload", with(listPools(), func(q *request) { q.hash = "UNSIGNED-PAYLOAD" }), 400, "InvalidSignatureException"},
		{"streaming payload", with(listPools(), func(q *request) { q.hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" }), 400, "InvalidSignatureException"},
		{"altered host", with(identity(), func(q *request) { q.after = func(r *http.Request) { r.Host = "sts.amazonaws.com" } }), 403, "SignatureDoesNotMatch"},
		{"altered target", with(listPools(), func(q *request) {
			q.after = func(r *http.Request) { r.Header.Set("X-Amz-Target", "AWSCognitoIdentityProviderService.ListUsers") }
		}), 400, "InvalidSignatureException"},
		{"altered path", with(getFunction(), func(q *request) {
			q.after = func(r *http.Request) { r.URL.Path = "/2015-03-31/functions/g" }
		}), 403, "InvalidSignatureException"},
		{"added query", with(getFunction(), func(q *request) {
			q.after = func(r *http.Request) { r.URL.RawQuery = "Qualifier=1" }
		}), 403, "InvalidSignatureException"},
		{"bearer", with(getFunction(), func(q *request) {
			q.key, q.host, q.header = "-", "lambda.eu-west-1.amazonaws.com", map[string]string{"Authorization": "Bearer abc"}
		}), 403, ""},
		{"garbage", with(getFunction(), func(q *request) {
			q.key, q.header = "-", map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAUSER/20261120/eu-west-1/lambda/aws4_request"}
		}), 403, "IncompleteSignatureException"},
		{"target not signed", with(listPools(), func(q *request) {
			target := q.header["X-Amz-Target"]
			q.header = nil
			q.after = func(r *http.Request) { r.Header.Set("X-Amz-Target", target) }
		}), 400, "InvalidSignatureException"},
		{"added x-amz header", with(getFunction(), func(q *request) {
			q.after = func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "token") }
		}), 403, "InvalidSignatureException"},
	}
}

// TestPipeline_authenticate pairs what must pass with what must not.
func TestPipeline_authenticate(t *testing.T) {
	t.Parallel()
	tests := slices.Concat(acceptedSignatures(), strangers(), forgeries())

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(tt.q)
			rec := f.last()
			if w.Code != tt.status || rec.ErrorCode != tt.code && !(tt.code == "" && tt.status != 200) {
				t.Fatalf("status %d code %q, want %d %q: %s (%s)", w.Code, rec.ErrorCode, tt.status, tt.code, w.Body, rec.Grounds)
			}
			if tt.code != "" && !strings.Contains(w.Body.String()+w.Header().Get("X-Amzn-ErrorType"), tt.code) {
				t.Errorf("the answer does not name %s: %v %s", tt.code, w.Header(), w.Body)
			}
			if tt.status != 200 && (rec.Step != "authenticate" || rec.Grounds == "" || len(f.auth.asked) > 0) {
				t.Errorf("step %q, grounds %q, asked %v", rec.Step, rec.Grounds, f.auth.asked)
			}
			if strings.Contains(w.Body.String(), "canonical") || strings.Contains(w.Body.String(), "database") {
				t.Errorf("the answer tells too much: %s", w.Body)
			}
		})
	}
}

func TestPipeline_identify(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		q      request
		status int
		want   string // operation, or error code
	}{
		{"target", listPools(), 200, "ListUserPools"},
		{"target and host", with(listPools(), func(q *request) { q.host = "cognito-idp.eu-west-1.localhost:4566" }), 200, "ListUserPools"},
		{"scope", identity(), 200, "GetCallerIdentity"},
		{"global host", with(identity(), func(q *request) { q.host = "sts.amazonaws.com" }), 200, "GetCallerIdentity"},
		{"action alone", request{key: "-", header: formType, body: form("Action", "AssumeRoleWithWebIdentity", "RoleArn",
			"arn:aws:iam::123456789012:role/r", "RoleSessionName", "session", "WebIdentityToken", "token")}, 200, "AssumeRoleWithWebIdentity"},
		{"path", getFunction(), 200, "GetFunction"},
		{"path of the other service", request{service: "apigateway", method: "GET", target: "/restapis/abc"}, 200, "GetRestApi"},
		{"a slash too many", with(getFunction(), func(q *request) { q.target += "/" }), 200, "GetFunction"},
		{"escaped slash in a label", request{service: "lambda", method: "POST", body: `{"Tags":{"a":"b"}}`,
			target: "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Af"}, 204, "TagResource"},

		{"unknown target", with(listPools(), func(q *request) { q.header = map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"} }), 501, "NotImplemented"},
		{"unknown service by scope", with(getFunction(), func(q *request) { q.service = "sqs" }), 501, "NotImplemented"},
		{"unknown service by host", with(getFunction(), func(q *request) { q.host, q.service = "sqs.eu-west-1.amazonaws.com", "sqs" }), 501, "NotImplemented"},
		{"unknown operation of a target", with(listPools(), func(q *request) {
			q.header = map[string]string{"X-Amz-Target": "AWSCognitoIdentityProviderService.Nonsense"}
		}), 400, "UnknownOperationException"},
		{"operation not built", with(identity(), func(q *request) { q.body = form("Action", "GetAccessKeyInfo", "AccessKeyId", "AKIAEXAMPLEEXAMPLE12") }), 501, "NotImplemented"},
		{"unknown action", with(identity(), func(q *request) { q.body = form("Action", "Nonsense") }), 400, "InvalidAction"},
		{"no action", with(identity(), func(q *request) { q.body = form() }), 400, "MissingAction"},
		{"other version", with(identity(), func(q *request) { q.body = "Action=GetCallerIdentity&Version=2010-05-08" }), 400, "InvalidAction"},
		{"action twice", with(identity(), func(q *request) { q.target = "/?Action=GetSessionToken" }), 400, "MalformedQueryString"},
		{"json target of another host", with(listPools(), func(q *request) { q.host = "lambda.eu-west-1.amazonaws.com" }), 404, "UnknownOperationException"},
		{"json by GET", with(listPools(), func(q *request) { q.method = "GET" }), 400, "UnknownOperationException"},
		{"json below a path", with(listPools(), func(q *request) { q.target = "/x" }), 400, "UnknownOperationException"},
		{"nothing", request{key: "-", method: "GET"}, 404, "UnknownOperationException"},
		{"empty label", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions//policy" }), 404, "UnknownOperationException"},
		{"doubled slash", with(getFunction(), func(q *request) { q.target = "//2015-03-31/functions/f" }), 404, "UnknownOperationException"},
		{"dots", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/x/../f" }), 404, "UnknownOperationException"},
		{"escaped dots", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/%2e%2e" }), 404, "UnknownOperationException"},
		{"escaped literal", with(getFunction(), func(q *request) { q.target = "/2015-03-31/%66unctions/f" }), 404, "UnknownOperationException"},
		{"NUL", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/f%00" }), 404, "UnknownOperationException"},
		{"overlong UTF-8", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/f%c0%af" }), 404, "UnknownOperationException"},
		{"backslash is data", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/..%5cf" }), 400, "ValidationException"},
		{"semicolon is data", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/f;x" }), 400, "ValidationException"},
		{"escaped slash is data", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/f%2Fpolicy" }), 400, "ValidationException"},
		{"broken query", with(getFunction(), func(q *request) { q.target += "?a=%zz" }), 400, "MalformedQueryString"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(tt.q)
			rec := f.last()
			got := rec.Operation
			if w.Code >= 400 {
				got = rec.ErrorCode
			}
			if w.Code != tt.status || got != tt.want {
				t.Errorf("status %d %q, want %d %q: %s", w.Code, got, tt.status, tt.want, w.Body)
			}
			if w.Header().Get("X-Amzn-Requestid") == "" {
				t.Error("no request id")
			}
		})
	}
}

func TestPipeline_decode(t *testing.T) {
	t.Parallel()
	js := func(body string) request { return with(listPools(), func(q *request) { q.body = body }) }
	tests := []struct {
		name   string
		q      request
		status int
		code   string
		text   string
	}{
		{"unknown members are ignored", js(`{"MaxResults":10,"Other":[{"a":1}]}`), 200, "", ""},
		{"whole number as float", js(`{"MaxResults":1e1}`), 200, "", ""},
		{"null is absent", js(`{"MaxResults":10,"NextToken":null}`), 200, "", ""},
		{"duplicate name", js(`{"MaxResults":10,"MaxResults":11}`), 400, "SerializationException", "Duplicate"},
		{"duplicate name in what is ignored", js(`{"MaxResults":10,"x":{"a":1,"a":2}}`), 400, "SerializationException", "Duplicate"},
		{"other letter case", js(`{"maxResults":10}`), 400, "InvalidParameterException", "Value null at 'maxResults' failed"},
		{"text for a number", js(`{"MaxResults":"10"}`), 400, "SerializationException", "STRING_VALUE can not be converted to an Integer"},
		{"fraction", js(`{"MaxResults":1.5}`), 400, "SerializationException", "NUMBER_VALUE"},
		{"too big", js(`{"MaxResults":99999999999}`), 400, "SerializationException", "NUMBER_VALUE"},
		{"structure for a number", js(`{"MaxResults":{}}`), 400, "SerializationException", "Start of structure or map"},
		{"broken", js(`{"MaxResults":10`), 400, "SerializationException", "end of the JSON"},
		{"more after the end", js(`{"MaxResults":10}{}`), 400, "SerializationException", "after the end"},
		{"lone surrogate", js(`{"MaxResults":10,"NextToken":"\ud800"}`), 400, "SerializationException", ""},
		{"not UTF-8", js("{\"MaxResults\":10,\"NextToken\":\"\xff\"}"), 400, "SerializationException", "UTF-8"},
		{"deep", js(`{"MaxResults":10,"x":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`), 200, "", ""},
		{"too deep", js(`{"MaxResults":10,"x":` + strings.Repeat("[", 30000) + `}`), 400, "SerializationException", "nests"},
		{"out of range", js(`{"MaxResults":100}`), 400, "InvalidParameterException", "less than or equal to 60"},
		{"empty body", js(``), 400, "InvalidParameterException", "Member must not be null"},
		{"oversized", js(`{"MaxResults":10,"x":"` + strings.Repeat("a", 65<<10) + `"}`), 413, "RequestEntityTooLargeException", "65536"},
		{"coded", with(js(`{"MaxResults":10}`), func(q *request) {
			q.after = func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }
		}), 415, "UnsupportedMediaTypeException", "gzip"},
		{"aws-chunked", with(js(`{"MaxResults":10}`), func(q *request) {
			q.after = func(r *http.Request) { r.Header.Set("Content-Encoding", "aws-chunked") }
		}), 415, "UnsupportedMediaTypeException", "aws-chunked"},
		{"query, missing", with(identity(), func(q *request) { q.body = form("Action", "AssumeRole", "RoleSessionName", "session") }), 400, "ValidationError", "Value null at 'roleArn' failed"},
		{"query, twice", with(identity(), func(q *request) { q.body += "&A=1&A=2" }), 400, "MalformedQueryString", "given twice"},
		{"query, index", with(identity(), func(q *request) {
			q.body = form("Action", "AssumeRole", "RoleArn", "arn:aws:iam::123456789012:role/r", "RoleSessionName", "session", "Tags.member.99999999.Key", "a")
		}), 400, "MalformedInput", ""},
		{"query, leading zero", with(identity(), func(q *request) {
			q.body = form("Action", "AssumeRole", "RoleArn", "arn:aws:iam::123456789012:role/r", "RoleSessionName", "session", "Tags.member.01.Key", "a")
		}), 400, "MalformedInput", ""},
		{"rest, number", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions?MaxItems=ten" }), 400, "SerializationException", "MaxItems"},
		{"rest, twice", with(getFunction(), func(q *request) { q.target += "?Qualifier=a&Qualifier=b" }), 400, "SerializationException", "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(tt.q)
			if rec := f.last(); w.Code != tt.status || rec.ErrorCode != tt.code || !strings.Contains(rec.ErrorMessage, tt.text) {
				t.Errorf("status %d %s %q, want %d %s %q", w.Code, rec.ErrorCode, rec.ErrorMessage, tt.status, tt.code, tt.text)
			}
		})
	}
}

func TestPipeline_authorise(t *testing.T) {
	t.Parallel()
	implicit := policy.Decision{Kind: policy.KindIdentity, Reason: "nothing allows it"}
	explicit := policy.Decision{Explicit: true, Kind: policy.KindIdentity, Reason: "statement No denies it"}
	user := "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: "
	tests := []struct {
		name     string
		q        request
		decision policy.Decision
		err      error
		status   int
		code     string
		message  string
		asked    string
	}{
		{"allowed", getFunction(), policy.Decision{Allowed: true}, nil, 200, "", "", "lambda:GetFunction * 123456789012"},
		{"implicit", getFunction(), implicit, nil, 403, "AccessDeniedException",
			user + "lambda:GetFunction on resource: * because no identity-based policy allows the lambda:GetFunction action", "lambda:GetFunction * 123456789012"},
		{"explicit", listPools(), explicit, nil, 400, "AccessDeniedException",
			user + "cognito-idp:ListUserPools on resource: * with an explicit deny in an identity-based policy", "cognito-idp:ListUserPools * 123456789012"},
		{"boundary", with(identity(), func(q *request) {
			q.body = form("Action", "AssumeRole", "RoleArn", "arn:aws:iam::123456789012:role/r", "RoleSessionName", "session")
		}), policy.Decision{Kind: "permissions boundary"}, nil, 403, "AccessDenied",
			user + "sts:AssumeRole on resource: * because no permissions boundary allows the sts:AssumeRole action", "sts:AssumeRole * 123456789012"},
		{"zero decision", getFunction(), policy.Decision{}, nil, 403, "AccessDeniedException", "because no identity-based policy", "lambda:GetFunction * 123456789012"},
		{"path of the call", request{service: "apigateway", method: "GET", target: "/restapis/abc"}, implicit, nil, 403, "AccessDeniedException",
			user + "apigateway:GET on resource: arn:aws:apigateway:eu-west-1::/restapis/abc", "apigateway:GET arn:aws:apigateway:eu-west-1::/restapis/abc 123456789012"},
		{"shared action", request{service: "lambda", target: "/2015-03-31/functions/f/invocations", body: "1"}, implicit, nil, 403, "AccessDeniedException",
			"lambda:InvokeFunction", "lambda:InvokeFunction * 123456789012"},
		{"nobody can say", getFunction(), policy.Decision{}, errors.New("the database is gone"), 500, "InternalFailure", "unknown error", "lambda:GetFunction * 123456789012"},
		{"error beside an allow", getFunction(), policy.Decision{Allowed: true}, errors.New("half an answer"), 500, "InternalFailure", "unknown error", "lambda:GetFunction * 123456789012"},
		{"who am I needs nothing", identity(), explicit, nil, 200, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.auth.deny = func(string, string) (policy.Decision, error) { return tt.decision, tt.err }
			w := f.do(tt.q)
			rec := f.last()
			if w.Code != tt.status || rec.ErrorCode != tt.code || !strings.Contains(rec.ErrorMessage, tt.message) {
				t.Errorf("status %d %s %q, want %d %s %q", w.Code, rec.ErrorCode, rec.ErrorMessage, tt.status, tt.code, tt.message)
			}
			if got := strings.Join(f.auth.asked, ","); got != tt.asked {
				t.Errorf("asked %q, want %q", got, tt.asked)
			}
			if tt.decision.Reason != "" && tt.asked != "" && (rec.Grounds != tt.decision.Reason || strings.Contains(w.Body.String(), tt.decision.Reason)) {
				t.Errorf("grounds %q, answer %s", rec.Grounds, w.Body)
			}
		})
	}
}

func TestPipeline_resources(t *testing.T) {
	t.Parallel()
	keys := policy.Context{}
	keys.Set("x:Op", "list")
	const a, b = "arn:aws:x:::a", "arn:aws:x:::b"
	for _, tt := range []struct {
		name    string
		needs   []wire.Need
		allowed string // the action on the resource that is allowed
		status  int
	}{
		{"its resource", wire.Needs(keys, a), "cognito-idp:ListUserPools " + a, 200},
		{"another resource", wire.Needs(keys, b), "cognito-idp:ListUserPools " + a, 400},
		{"one of two resources", wire.Needs(keys, a, b), "cognito-idp:ListUserPools " + a, 400},
		{"a further action", append(wire.Needs(keys, a), wire.Need{Action: "x:Other", Resource: a, Keys: keys}), "cognito-idp:ListUserPools " + a, 400},
		{"no need", []wire.Need{}, "cognito-idp:ListUserPools " + a, 400}, // none is "*", not nothing
		{"nil", nil, "cognito-idp:ListUserPools " + a, 400},
		{"everything", nil, "cognito-idp:ListUserPools *", 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.idp.Resources = func(*wire.Call, string, any) []wire.Need { return tt.needs }
			f.auth.deny = func(action, resource string) (policy.Decision, error) {
				return policy.Decision{Allowed: action+" "+resource == tt.allowed}, nil
			}
			if w := f.do(listPools()); w.Code != tt.status {
				t.Errorf("status %d %s, want %d", w.Code, w.Body, tt.status)
			}
			if got := f.auth.keys.Get("X:op"); len(tt.needs) > 0 && (len(got) != 1 || got[0] != "list") {
				t.Errorf("keys %v", f.auth.keys)
			}
			if got := f.auth.keys.Get("aws:RequestedRegion"); len(got) != 1 || got[0] != region {
				t.Errorf("keys %v", f.auth.keys)
			}
		})
	}
}

// A policy cannot rely on what the table does not list.
func TestPipeline_strictTable(t *testing.T) {
	t.Parallel()
	for name, need := range map[string]wire.Need{
		"an unlisted key":    {Resource: "*", Keys: policy.Context{"x:op": {"v"}}},
		"an unlisted action": {Action: "x:Other", Resource: "*"},
	} {
		f := newFixture(t, func(c *wire.Config) { c.Strict = true })
		f.idp.Resources = func(*wire.Call, string, any) []wire.Need { return []wire.Need{need} }
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s passes", name)
				}
			}()
			f.do(listPools())
		}()
	}
}

func TestOperation_FitsAndLists(t *testing.T) {
	t.Parallel()
	op := wire.Operation{
		On:   []string{"arn:${Partition}:x:${Region}:${Account}:thing/${Name}", "arn:${Partition}:x:${Region}::things"},
		Keys: []string{"aws:RequestTag/${TagKey}", "x:Kind"},
	}
	for resource, want := range map[string]bool{
		"arn:aws:x:r:1:thing/a/b": true, "arn:aws:x:r:1:thing/": false, "arn:aws:x:r::things": true,
		"arn:aws:x:r:1:other/a": false, "arn:aws:y:r:1:thing/a": false, "*": false, "": false,
	} {
		if got := op.Fits(resource); got != want {
			t.Errorf("%s fits: %v", resource, got)
		}
	}
	if none := (&wire.Operation{}); !none.Fits("*") || none.Fits("arn:aws:x:r:1:thing/a") {
		t.Error("an operation without resources is decided on * alone")
	}
	for key, want := range map[string]bool{"aws:requesttag/a": true, "aws:RequestTag/": false, "X:KIND": true, "x:kin": false, "aws:tagkeys": false} {
		if got := op.Lists(key); got != want {
			t.Errorf("%s listed: %v", key, got)
		}
	}
}

func TestPipeline_errors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		q      request
		status int
		typ    string
		body   string
	}{
		{"json", initiateAuth("ada"), 400, "UserNotFoundException", `{"__type":"UserNotFoundException","message":"User does not exist."}`},
		{"failure", initiateAuth("broken"), 500, "InternalFailure", `{"__type":"InternalFailure","message":"The request processing has failed because of an unknown error, exception or failure."}`},
		{"panic", initiateAuth("panic"), 500, "InternalFailure", `{"__type":"InternalFailure","message":"The request processing has failed because of an unknown error, exception or failure."}`},
		{"lambda", with(getFunction(), func(q *request) { q.target = "/2015-03-31/functions/absent" }), 404, "ResourceNotFoundException", `{"Message":"Function not found","Type":"User"}`},
		{"query", with(identity(), func(q *request) {
			q.body = form("Action", "AssumeRole", "RoleArn", "arn:aws:iam::123456789012:role/r", "RoleSessionName", "packed")
		}), 400, "", `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>PackedPolicyTooLarge</Code><Message>too &lt;large&gt;</Message></Error><RequestId>ID</RequestId></ErrorResponse>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			w := f.do(tt.q)
			body := strings.TrimSpace(strings.ReplaceAll(w.Body.String(), f.last().RequestID, "ID"))
			if w.Code != tt.status || w.Header().Get("X-Amzn-Errortype") != tt.typ || body != tt.body {
				t.Errorf("status %d type %q body %s\nwant %d %q %s", w.Code, w.Header().Get("X-Amzn-Errortype"), body, tt.status, tt.typ, tt.body)
			}
			if tt.status == 500 && !strings.Contains(f.last().Grounds, "secret detail") {
				t.Errorf("grounds %q", f.last().Grounds)
			}
		})
	}
}

func TestPipeline_answers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(identity())
	want := `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Account>123456789012</Account><Arn>arn:aws:iam::123456789012:user/ada</Arn><UserId>AIDAEXAMPLE</UserId></GetCallerIdentityResult><ResponseMetadata><RequestId>` +
		f.last().RequestID + `</RequestId></ResponseMetadata></GetCallerIdentityResponse>`
	if got := strings.TrimSpace(w.Body.String()); got != want || w.Header().Get("Content-Type") != "text/xml" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r := f.last(); r.Who != "arn:aws:iam::123456789012:user/ada" || r.AccessKey != "AKIAUSER" || r.Step != "encode" || r.Region != region || r.Service != "sts" {
		t.Errorf("record %+v", r)
	}

	w = f.do(request{service: "lambda", target: "/2015-03-31/functions/f/invocations", body: `{"a":1}`})
	if w.Code != 202 || w.Body.String() != `{"a":1}` || w.Header().Get("X-Evil") != "" || w.Header().Get("X-Amz-Function-Error") != "Unhandled  X-Evil: 1" {
		t.Errorf("invoke: %d %v %s", w.Code, w.Header(), w.Body)
	}
	w = f.do(request{service: "apigateway", method: "GET", target: "/restapis/abc"})
	if got := w.Body.String(); got != `{"id":"abc","createdDate":1795176000}` && !strings.Contains(got, `"createdDate":1795176000`) {
		t.Errorf("rest api: %s", got)
	}
}

func TestPipeline_cors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	w := f.do(request{method: "OPTIONS", key: "-", header: map[string]string{
		"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-amz-target, content-type, bad header",
	}})
	if w.Code != 200 || w.Header().Get("Access-Control-Allow-Origin") != "*" || w.Header().Get("Access-Control-Allow-Headers") != "x-amz-target,content-type" {
		t.Errorf("preflight: %d %v", w.Code, w.Header())
	}
	q := initiateAuth("ada")
	q.header["Origin"] = "http://localhost:3000"
	w = f.do(q)
	if w.Code != 400 || w.Header().Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(w.Header().Get("Access-Control-Expose-Headers"), "x-amzn-ErrorType") {
		t.Errorf("answer: %d %v", w.Code, w.Header())
	}
	if w.Header().Get("Access-Control-Allow-Credentials") != "" {
		t.Error("credentials are allowed")
	}
	if w := f.do(request{method: "OPTIONS", key: "-"}); w.Code != 404 {
		t.Errorf("a plain OPTIONS: %d", w.Code)
	}
}

// A caller that an unsigned operation does not need is not looked at.
func TestPipeline_unsigned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	q := initiateAuth("ada")
	q.key, q.secret, q.service = "", "wrong", "cognito-idp"
	if w := f.do(q); w.Code != 400 || f.last().ErrorCode != "UserNotFoundException" || f.last().Who != "" || len(f.auth.asked) > 0 {
		t.Errorf("%d %+v %v", w.Code, f.last(), f.auth.asked)
	}
	q = initiateAuth("ada")
	q.host = "cognito-idp.us-west-2.amazonaws.com"
	if f.do(q); f.last().Region != "us-west-2" {
		t.Errorf("region %q", f.last().Region)
	}
}

func TestPipeline_strict(t *testing.T) {
	t.Parallel()
	f := newFixture(t, func(c *wire.Config) { c.Strict = true })
	if w := f.do(initiateAuth("ada")); w.Code != 400 {
		t.Errorf("listed: %d", w.Code)
	}
	defer func() {
		if recover() == nil {
			t.Error("an exception that the model does not list passed")
		}
	}()
	f.do(initiateAuth("unlisted"))
}

func TestPipeline_Invoke(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	caller := wire.Caller{Principal: policy.Principal{Kind: policy.PrincipalUser, ARN: "arn:aws:iam::123456789012:user/ada"}}
	ctx := wire.WithCall(context.Background(), &wire.Call{Caller: caller, Via: "cloudformation.amazonaws.com", RequestID: "outer"})
	c := lambdaapi.Client(f)
	out, err := c.GetFunction(ctx, &lambdaapi.GetFunctionRequest{FunctionName: "f"})
	if err != nil || out.Tags["name"] != "f" {
		t.Fatalf("%v %v", out, err)
	}
	if r := f.last(); r.Via != "cloudformation.amazonaws.com" || r.RequestID != "outer" || r.Operation != "GetFunction" || r.Region != region || r.Status != 200 {
		t.Errorf("record %+v", r)
	}
	if got := f.auth.keys.Get("aws:CalledVia"); len(got) != 1 {
		t.Errorf("keys %v", f.auth.keys)
	}
	var notFound *lambdaapi.ResourceNotFoundException
	if _, err := c.GetFunction(ctx, &lambdaapi.GetFunctionRequest{FunctionName: "absent"}); !errors.As(err, &notFound) {
		t.Errorf("%v", err)
	}
	var e wire.Exception
	if _, err := c.GetFunction(ctx, &lambdaapi.GetFunctionRequest{FunctionName: "not a name"}); !errors.As(err, &e) || e.ErrorCode() != "ValidationException" {
		t.Errorf("%v", err)
	}
	if _, err := c.ListLayers(ctx, &lambdaapi.ListLayersRequest{}); !errors.As(err, &e) || e.HTTPStatus() != 501 {
		t.Errorf("%v", err)
	}
	f.auth.deny = func(string, string) (policy.Decision, error) { return policy.Decision{}, nil }
	if _, err := c.GetFunction(ctx, &lambdaapi.GetFunctionRequest{FunctionName: "f"}); !errors.As(err, &e) || e.ErrorCode() != "AccessDeniedException" {
		t.Errorf("%v", err)
	}
	if err := f.Invoke(ctx, "lambda", "GetFunction", &stsapi.GetCallerIdentityRequest{}, &lambdaapi.GetFunctionResponse{}); err == nil {
		t.Error("a foreign type passed")
	}
}

// A body is read for a key holder alone, when the request declares its hash.
func TestPipeline_bodyOfStranger(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sum := sha256.Sum256([]byte("x"))
	q := request{service: "lambda", target: "/2015-03-31/functions", secret: "wrong", hash: hex.EncodeToString(sum[:])}
	r := q.build()
	r.Body, r.ContentLength = io.NopCloser(readerFunc(func([]byte) (int, error) {
		t.Error("the body was read")
		return 0, io.EOF
	})), 1<<20
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if w.Code != 403 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Through a real server: no Content-Length, Expect: 100-continue, HEAD.
func TestPipeline_server(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	srv := httptest.NewServer(f)
	defer srv.Close()
	post := func(change func(*http.Request)) *http.Response {
		q := listPools()
		q.host = strings.TrimPrefix(srv.URL, "http://")
		r := q.build()
		r.RequestURI = ""
		r.URL, _ = url.Parse(srv.URL + "/")
		r.Body = io.NopCloser(bytes.NewReader([]byte(q.body)))
		change(r)
		res, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	for name, change := range map[string]func(*http.Request){
		"plain":   func(*http.Request) {},
		"chunked": func(r *http.Request) { r.ContentLength = -1 },
		"expect":  func(r *http.Request) { r.Header.Set("Expect", "100-continue") },
	} {
		if res := post(change); res.StatusCode != 200 {
			t.Errorf("%s: %d %+v", name, res.StatusCode, f.last())
		}
	}
	big := io.LimitReader(readerFunc(func(p []byte) (int, error) { return len(p), nil }), 1<<20)
	if res := post(func(r *http.Request) { r.ContentLength, r.Body = -1, io.NopCloser(big) }); res.StatusCode != 413 {
		t.Errorf("endless: %d", res.StatusCode)
	}
}
