package moattest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"moat/internal/pure/sigv4"
	"moat/internal/service/stack"
)

// asRoot makes a signed request of the root key; service is the signature's.
func (m *Moat) asRoot(t *testing.T, method, path, service, target string, in any) (int, string) {
	t.Helper()
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, m.loopback(path), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if target != "" {
		req.Header.Set("Content-Type", "application/x-amz-json-1.1")
		req.Header.Set("X-Amz-Target", target)
	}
	r := sigv4.Request{Method: method, Path: req.URL.EscapedPath(), RawQuery: req.URL.RawQuery, Host: req.URL.Host, Header: req.Header}
	sigv4.Sign(&r, hash, sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "us-east-1", service, m.Clock.Now())
	return do(t, req)
}

const cloudTrail = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101."

type lookedUp struct {
	Events []struct {
		EventId, EventName, EventSource, ReadOnly, Username, CloudTrailEvent string
		Resources                                                            []struct{ ResourceType, ResourceName string }
	}
	NextToken string
	Type      string `json:"__type"`
}

func (m *Moat) lookUp(t *testing.T, in map[string]any) lookedUp {
	t.Helper()
	status, text := m.asRoot(t, http.MethodPost, "/", "cloudtrail", cloudTrail+"LookupEvents", in)
	var out lookedUp
	if err := json.Unmarshal([]byte(text), &out); err != nil || status != 200 && out.Type == "" {
		t.Fatalf("LookupEvents: %d %s", status, text)
	}
	return out
}

func by(attribute, value string) map[string]any {
	return map[string]any{"LookupAttributes": []map[string]string{{"AttributeKey": attribute, "AttributeValue": value}}}
}

// Everything that is asked of a Moat is found again, without its secrets: calls, unsigned calls,
// refusals, requests to a pool's domain, refusals of a deployed API.
func TestTrail_LookupEvents(t *testing.T) {
	t.Parallel()
	m := New(t)
	res, err := m.Deploy(t.Context(), stack.DeployInput{Name: "school", Template: []byte(school)})
	if err != nil {
		t.Fatal(err)
	}
	out := res.Outputs
	password := map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "Password": "Analytical-Engine-1", "Permanent": true}
	m.cognito(t, "AdminCreateUser", true, map[string]any{"UserPoolId": out["Pool"], "Username": "ada@example.com", "MessageAction": "SUPPRESS"}, nil)
	m.cognito(t, "AdminSetUserPassword", true, password, nil)
	m.cognito(t, "AdminSetUserPassword", false, password, nil) // refused
	m.cognito(t, "InitiateAuth", false, map[string]any{"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": out["Client"], "AuthParameters": map[string]string{"USERNAME": "ada@example.com", "PASSWORD": "Analytical-Engine-1"}}, nil)
	if status, _ := m.courses(t, out["Url"], "Bearer nonsense"); status != 401 {
		t.Fatalf("a token that is none: %d", status)
	}

	set := m.lookUp(t, by("EventName", "AdminSetUserPassword"))
	if len(set.Events) != 2 {
		t.Fatalf("AdminSetUserPassword: %+v", set)
	}
	refused, done := set.Events[0].CloudTrailEvent, set.Events[1].CloudTrailEvent // the newest first
	for _, want := range []string{`"type":"Root"`, `"eventSource":"cognito-idp.amazonaws.com"`, `"password":"HIDDEN_DUE_TO_SECURITY_REASONS"`, `"action":"cognito-idp:AdminSetUserPassword"`, `"result":"allowed"`, out["Pool"]} {
		if !strings.Contains(done, want) {
			t.Errorf("the event lacks %s: %s", want, done)
		}
	}
	for _, want := range []string{`"errorCode":"MissingAuthenticationToken`, `"principalId":"Anonymous"`, `"step":"authenticate"`} {
		if !strings.Contains(refused, want) {
			t.Errorf("the refusal lacks %s: %s", want, refused)
		}
	}
	for attribute, value := range map[string]string{"EventName": "InitiateAuth", "EventSource": "execute-api.amazonaws.com", "Username": "root", "ReadOnly": "false", "AccessKeyId": "test", "ResourceType": "AWS::Cognito::UserPool", "ResourceName": out["Pool"], "EventId": set.Events[0].EventId} {
		if found := m.lookUp(t, by(attribute, value)); len(found.Events) == 0 {
			t.Errorf("nothing by %s %s", attribute, value)
		} else if text, _ := json.Marshal(found); strings.Contains(string(text), "Analytical-Engine") || strings.Contains(string(text), "Bearer") || strings.Contains(string(text), "eyJ") {
			t.Errorf("a secret by %s: %s", attribute, text)
		}
	}
	if found := m.lookUp(t, by("EventName", "Nothing")); len(found.Events) != 0 {
		t.Errorf("events of a name that nothing has: %+v", found)
	}
	api := m.lookUp(t, by("EventSource", "execute-api.amazonaws.com"))
	if len(api.Events) != 1 || !strings.Contains(api.Events[0].CloudTrailEvent, `"step":"authorise"`) {
		t.Errorf("the API's refusal: %+v", api)
	}
}

// Pages come to an end, nothing twice; a token fits its own question alone.
func TestTrail_Pages(t *testing.T) {
	t.Parallel()
	m := New(t)
	for range 7 {
		m.cognito(t, "ListUserPools", true, map[string]any{"MaxResults": 1}, nil)
	}
	ask := by("EventName", "ListUserPools")
	ask["MaxResults"] = 3
	seen := map[string]bool{}
	var token string
	for pages := 0; ; pages++ {
		found := m.lookUp(t, ask)
		for _, e := range found.Events {
			if seen[e.EventId] {
				t.Errorf("%s twice", e.EventId)
			}
			seen[e.EventId] = true
		}
		if found.NextToken == "" {
			break
		}
		if pages > 5 {
			t.Fatal("there is no end")
		}
		token = found.NextToken
		ask["NextToken"] = token
	}
	if len(seen) != 7 {
		t.Errorf("%d events of 7", len(seen))
	}
	for name, in := range map[string]map[string]any{
		"another question":  {"NextToken": token, "LookupAttributes": by("EventName", "CreateUserPool")["LookupAttributes"]},
		"another attribute": {"NextToken": token, "LookupAttributes": by("Username", "ListUserPools")["LookupAttributes"]},
		"an altered token":  {"NextToken": token[:len(token)-2] + "AA", "LookupAttributes": ask["LookupAttributes"]},
		"no token":          {"NextToken": "nonsense", "LookupAttributes": ask["LookupAttributes"]},
	} {
		if found := m.lookUp(t, in); !strings.HasSuffix(found.Type, "InvalidNextTokenException") {
			t.Errorf("%s: %+v", name, found)
		}
	}
	two := map[string]any{"LookupAttributes": []map[string]string{{"AttributeKey": "EventName", "AttributeValue": "a"}, {"AttributeKey": "ReadOnly", "AttributeValue": "true"}}}
	if found := m.lookUp(t, two); !strings.HasSuffix(found.Type, "InvalidLookupAttributesException") {
		t.Errorf("two attributes: %+v", found)
	}
	if found := m.lookUp(t, map[string]any{"StartTime": 2000000000, "EndTime": 1000000000}); !strings.HasSuffix(found.Type, "InvalidTimeRangeException") {
		t.Errorf("an end before its start: %+v", found)
	}
	before := m.Clock.Now().Add(-1).Unix() - 60
	if found := m.lookUp(t, map[string]any{"EndTime": before}); len(found.Events) != 0 {
		t.Errorf("events of before there were any: %+v", found)
	}
}

// The trail is read by who may, with a signature for it, and never through another path.
func TestTrail_Explain(t *testing.T) {
	t.Parallel()
	m := New(t)
	m.cognito(t, "ListUserPools", false, map[string]any{"MaxResults": 1}, nil) // refused
	id := m.Records()[0].RequestID
	status, text := m.asRoot(t, http.MethodGet, "/_moat/explain/"+id, "moat", "", nil)
	if status != 200 || !strings.Contains(text, `"eventName":"ListUserPools"`) || !strings.Contains(text, `"step":"authenticate"`) {
		t.Errorf("explain: %d %s", status, text)
	}
	for name, c := range map[string]struct {
		method, path, service string
		status                int
	}{
		"an unknown id":             {http.MethodGet, "/_moat/explain/nonsense", "moat", 404},
		"a wild id":                 {http.MethodGet, "/_moat/explain/%25%27%20OR%201=1", "moat", 404},
		"a signature for another":   {http.MethodGet, "/_moat/explain/" + id, "cloudtrail", 403},
		"a method that changes":     {http.MethodPost, "/_moat/explain/" + id, "moat", 405},
		"a suggestion for nobody":   {http.MethodGet, "/_moat/policy/suggest", "moat", 400},
		"a suggestion, wrong scope": {http.MethodGet, "/_moat/policy/suggest?principal=root", "iam", 403},
	} {
		if status, text := m.asRoot(t, c.method, c.path, c.service, "", nil); status != c.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, m.loopback("/_moat/explain/"+id), nil)
	if status, text := do(t, req); status != 403 || strings.Contains(text, "ListUserPools") {
		t.Errorf("without a signature: %d %s", status, text)
	}
	if found := m.lookUp(t, by("EventSource", "moat.amazonaws.com")); len(found.Events) < 3 {
		t.Errorf("refusals of Moat's own addresses in the trail: %+v", found)
	}
}
