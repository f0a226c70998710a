package iam

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

// post makes a call over HTTP; an empty key leaves the signature out.
func (h *house) post(key sigv4.Credentials, service string, form url.Values) *httptest.ResponseRecorder {
	h.t.Helper()
	version := "2011-06-15"
	if service == "iam" {
		version = "2010-05-08"
	}
	form.Set("Version", version)
	body := form.Encode()
	req := httptest.NewRequest(http.MethodPost, "http://"+service+".amazonaws.com/", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if key.AccessKeyID != "" {
		r := sigv4.Request{Method: "POST", Path: "/", Host: req.Host, Header: req.Header}
		sigv4.Sign(&r, sigv4.HashOf([]byte(body)), key, "us-east-1", service, h.clock())
	}
	w := httptest.NewRecorder()
	h.p.ServeHTTP(w, req)
	return w
}

type wireError struct {
	Type    string `xml:"Error>Type"`
	Code    string `xml:"Error>Code"`
	Message string `xml:"Error>Message"`
}

// refusedOn checks the status, the code and the sentence of an answer.
func refusedOn(t *testing.T, what string, w *httptest.ResponseRecorder, status int, code, message string) {
	t.Helper()
	var e wireError
	if err := xml.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != status || e.Code != code || message != "" && e.Message != message {
		t.Errorf("%s:\n got %d %s: %s\nwant %d %s: %s", what, w.Code, e.Code, e.Message, status, code, message)
	}
}

func TestRecorded_sts(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/sts_recorded.json")
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct {
		Duplicate, Transitive wireErrorFields
		Assumed               map[string]map[string]string
	}
	if err := json.Unmarshal(data, &recorded); err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	key := h.user("alice", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	role := h.role("r", trustAccount, "")
	call := func(more url.Values) *httptest.ResponseRecorder {
		form := url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"session-1"}}
		for k, v := range more {
			form[k] = v
		}
		return h.post(key, "sts", form)
	}
	w := call(url.Values{"Tags.member.1.Key": {"k"}, "Tags.member.1.Value": {"1"}, "Tags.member.2.Key": {"K"}, "Tags.member.2.Value": {"2"}})
	refusedOn(t, "duplicate", w, 400, recorded.Duplicate.Code, recorded.Duplicate.Message)
	w = call(url.Values{"Tags.member.1.Key": {"k"}, "Tags.member.1.Value": {"1"}, "TransitiveTagKeys.member.1": {"x"}})
	refusedOn(t, "transitive", w, 400, recorded.Transitive.Code, recorded.Transitive.Message)
	var out struct {
		User struct {
			Arn           string
			AssumedRoleId string
		} `xml:"AssumeRoleResult>AssumedRoleUser"`
		Credentials struct {
			AccessKeyId, SecretAccessKey, SessionToken, Expiration string
		} `xml:"AssumeRoleResult>Credentials"`
		Packed *string `xml:"AssumeRoleResult>PackedPolicySize"`
	}
	w = call(nil)
	if err := xml.Unmarshal(w.Body.Bytes(), &out); err != nil || w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	id := out.User.AssumedRoleId[:strings.IndexByte(out.User.AssumedRoleId, ':')]
	fill := strings.NewReplacer("<partition>", "aws", "111111111111", account, "<resource:1>", "r", "<role-session-name:1>", "session-1", "<role-id:1>", id)
	if want := fill.Replace(recorded.Assumed["AssumedRoleUser"]["Arn"]); out.User.Arn != want {
		t.Errorf("got %s, want %s", out.User.Arn, want)
	}
	if want := fill.Replace(recorded.Assumed["AssumedRoleUser"]["AssumedRoleId"]); out.User.AssumedRoleId != want {
		t.Errorf("got %s, want %s", out.User.AssumedRoleId, want)
	}
	if c := out.Credentials; c.AccessKeyId == "" || c.SecretAccessKey == "" || c.SessionToken == "" || c.Expiration == "" || out.Packed != nil {
		t.Errorf("%+v", out)
	}
}

type wireErrorFields struct{ Code, Message string }

// What a caller sees of sessions that are over.
func TestSession_over(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	role := h.role("r", trustAccount, allowAll)
	key, err := h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: role, DurationSeconds: wire.Int32(900)})
	if err != nil {
		t.Fatal(err)
	}
	who := url.Values{"Action": {"GetCallerIdentity"}}
	if w := h.post(key, "sts", who); w.Code != 200 || !strings.Contains(w.Body.String(), "assumed-role/r/session1") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	other := key
	other.SessionToken = ""
	refusedOn(t, "no token", h.post(other, "sts", who), 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	other.SessionToken = key.SessionToken[:len(key.SessionToken)-4]
	refusedOn(t, "cut token", h.post(other, "sts", who), 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
	h.advance(15 * time.Minute)
	refusedOn(t, "expired", h.post(key, "sts", who), 403, "ExpiredToken", "The security token included in the request is expired")
	if key, err = h.assume(alice, &stsapi.AssumeRoleRequest{RoleArn: role}); err != nil {
		t.Fatal(err)
	}
	must(t)(h.iam.DeleteRolePolicy(h.root(), &iamapi.DeleteRolePolicyRequest{RoleName: "r", PolicyName: "p"}))
	must(t)(h.iam.DeleteRole(h.root(), &iamapi.DeleteRoleRequest{RoleName: "r"}))
	refusedOn(t, "the role is gone", h.post(key, "sts", who), 403, "InvalidClientTokenId", "The security token included in the request is invalid.")
}

func TestDecodeAuthorizationMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.p = wire.New(wire.Config{Authority: h.s, APIs: h.s.APIs(), Account: account, Region: "us-east-1", Now: h.clock, EncodeRefusal: h.s.EncodeRefusal, Strict: true})
	bob := h.user("bob", `{"Sid":"Never","Effect":"Deny","Action":"iam:GetUser","Resource":"*"},{"Effect":"Allow","Action":"iam:GetUser","Resource":"*"}`)
	reader := h.user("reader", `{"Effect":"Allow","Action":"sts:DecodeAuthorizationMessage","Resource":"*"}`)
	decode := func(key sigv4.Credentials, message string) *httptest.ResponseRecorder {
		return h.post(key, "sts", url.Values{"Action": {"DecodeAuthorizationMessage"}, "EncodedMessage": {message}})
	}
	read := func(w *httptest.ResponseRecorder) (m authorizationMessage) {
		t.Helper()
		var out struct {
			Text string `xml:"DecodeAuthorizationMessageResult>DecodedMessage"`
		}
		if err := xml.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(out.Text), &m); err != nil {
			t.Fatalf("%v in %s", err, w.Body)
		}
		return m
	}
	denied := h.post(bob, "iam", url.Values{"Action": {"GetUser"}})
	message := denied.Header().Get(wire.MessageHeader)
	m := read(decode(reader, message))
	if m.Allowed || !m.ExplicitDeny || len(m.MatchedStatements.Items) != 1 || m.MatchedStatements.Items[0].StatementID != "Never" || m.Context.Action != "iam:GetUser" ||
		m.Context.Principal.Name != "bob" || m.Context.Principal.ARN != "arn:aws:iam::000000000000:user/bob" || m.Context.Resource != "arn:aws:iam::000000000000:user/bob" {
		t.Errorf("%+v", m)
	}
	found := false
	for _, c := range m.Context.Conditions.Items {
		found = found || c.Key == "aws:sourceip" && c.Values.Items[0].Value != ""
	}
	if !found {
		t.Errorf("no source address in %+v", m.Context.Conditions)
	}
	implicit := h.post(bob, "iam", url.Values{"Action": {"ListUsers"}})
	if m := read(decode(reader, implicit.Header().Get(wire.MessageHeader))); m.ExplicitDeny || len(m.MatchedStatements.Items) != 0 {
		t.Errorf("%+v", m)
	}
	if w := h.post(reader, "sts", url.Values{"Action": {"GetCallerIdentity"}}); w.Header().Get(wire.MessageHeader) != "" {
		t.Error("an allowed call carries a message")
	}
	refusedOn(t, "who may not", decode(bob, message), 403, "AccessDenied", "")
	session := must(t)(h.sts.GetSessionToken(h.as(bob), &stsapi.GetSessionTokenRequest{})).(*stsapi.GetSessionTokenResponse).Credentials
	for name, text := range map[string]string{
		"cut": message[:len(message)-1], "longer": message + "A", "altered": "z" + message[1:], "no message": "hello", "a session token": session.SessionToken, "padded": message + "=",
	} {
		refusedOn(t, name, decode(reader, text), 400, "InvalidAuthorizationMessageException", "Message is not valid")
	}
}

// A second factor over the wire: right, wrong, replayed, of somebody else.
func TestMFA_sts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, eve := h.user("alice", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`), h.user("eve", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	serial, seed := h.device("phone")
	if err := h.enable("alice", serial, h.code(seed, 0), h.code(seed, 1)); err != nil {
		t.Fatal(err)
	}
	h.advance(2 * time.Minute)
	role := h.role("r", `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}`, allowAll)
	assume := func(key sigv4.Credentials, code string) *httptest.ResponseRecorder {
		form := url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"session"}}
		if code != "" {
			form.Set("SerialNumber", serial)
			form.Set("TokenCode", code)
		}
		return h.post(key, "sts", form)
	}
	code := h.code(seed, 0)
	wrong := "000000"
	if code == wrong {
		wrong = "000001"
	}
	refusedOn(t, "none", assume(alice, ""), 403, "AccessDenied", "")
	refusedOn(t, "wrong", assume(alice, wrong), 403, "AccessDenied", wrongCode)
	h.advance(2 * time.Minute)
	code = h.code(seed, 0)
	refusedOn(t, "of somebody else", assume(eve, code), 403, "AccessDenied", wrongDevice)
	if w := assume(alice, code); w.Code != 200 {
		t.Errorf("right: %d %s", w.Code, w.Body)
	}
	refusedOn(t, "replayed", assume(alice, code), 403, "AccessDenied", wrongCode)
	h.advance(5 * time.Minute)
	out, err := h.sts.GetSessionToken(h.as(alice), &stsapi.GetSessionTokenRequest{SerialNumber: &serial, TokenCode: wire.String(h.code(seed, 0))})
	if err != nil {
		t.Fatal(err)
	}
	key := sigv4.Credentials{AccessKeyID: out.Credentials.AccessKeyId, SecretAccessKey: out.Credentials.SecretAccessKey, SessionToken: out.Credentials.SessionToken}
	if w := assume(key, ""); w.Code != 200 {
		t.Errorf("a session with a second factor: %d %s", w.Code, w.Body)
	}
}
