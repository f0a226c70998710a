package iam

import (
	"encoding/json"
	"encoding/xml"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"moat/internal/pure/sigv4"
	"moat/internal/pure/token"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

// decoded opens the encoded message of a refusal; nil when it carries none.
func (h *house) decoded(w *httptest.ResponseRecorder) *authorizationMessage {
	h.t.Helper()
	text := w.Header().Get(wire.MessageHeader)
	if text == "" {
		return nil
	}
	answer := h.post(sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "sts", url.Values{"Action": {"DecodeAuthorizationMessage"}, "EncodedMessage": {text}})
	var out struct {
		Text string `xml:"DecodeAuthorizationMessageResult>DecodedMessage"`
	}
	var m authorizationMessage
	if err := xml.Unmarshal(answer.Body.Bytes(), &out); err != nil {
		h.t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out.Text), &m); err != nil {
		h.t.Fatalf("%v in %s", err, answer.Body)
	}
	return &m
}

// What STS decides beside the operation's own action is told as everything else
// is: in the trail, and in the encoded message of a refusal.
func TestSTS_refusalMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var last wire.Record
	h.p = wire.New(wire.Config{Authority: h.s, APIs: h.s.APIs(), Account: account, Region: "us-east-1", Now: h.clock,
		EncodeRefusal: h.s.EncodeRefusal, Record: func(r wire.Record) { last = r }, Strict: true})
	assumer := h.user("assumer", `{"Effect":"Allow","Action":["sts:AssumeRole","sts:GetFederationToken"],"Resource":"*"}`)
	denied := h.user("denied", `{"Effect":"Allow","Action":"sts:*","Resource":"*"},{"Sid":"Untagged","Effect":"Deny","Action":"sts:TagSession","Resource":"*"}`)
	full := h.user("full", `{"Effect":"Allow","Action":"sts:*","Resource":"*"}`)
	here := h.user("here", `{"Effect":"Allow","Action":"sts:*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceAccount":"000000000000"}}}`)
	elsewhere := h.user("elsewhere", `{"Effect":"Allow","Action":["sts:AssumeRole","sts:GetFederationToken"],"Resource":"*"},{"Effect":"Allow","Action":"sts:TagSession","Resource":"*","Condition":{"StringEquals":{"aws:ResourceAccount":"111111111111"}}}`)
	open := h.role("open", `{"Effect":"Allow","Principal":{"AWS":"000000000000"},"Action":"sts:AssumeRole"}`, allowAll)
	all := h.role("all", trustAccount, allowAll)
	federated := h.s.federatedARN("bob")
	tag := url.Values{"Tags.member.1.Key": {"team"}, "Tags.member.1.Value": {"red"}}
	source := url.Values{"SourceIdentity": {"ada"}}
	for what, tt := range map[string]struct {
		key              sigv4.Credentials
		role             string
		with             url.Values
		action, resource string // that is refused
		statement        string
	}{
		"a role, untagged":          {assumer, open, nil, "", "", ""},
		"a role's trust":            {full, open, tag, "sts:TagSession", open, ""},
		"a role's trust and policy": {full, all, tag, "", "", ""},
		"a user's policy":           {denied, all, tag, "sts:TagSession", all, "Untagged"},
		"a source's trust":          {full, open, source, "sts:SetSourceIdentity", open, ""},
		"a source":                  {full, all, source, "", "", ""},
		"of this account":           {here, all, tag, "", "", ""},
		"federated, this account":   {here, "", tag, "", "", ""},
		"federated, another's":      {elsewhere, "", tag, "sts:TagSession", federated, ""},
		"federated":                 {assumer, "", tag, "sts:TagSession", federated, ""},
		"federated, denied":         {denied, "", tag, "sts:TagSession", federated, "Untagged"},
		"federated, all":            {full, "", tag, "", "", ""},
		"federated, untagged":       {assumer, "", nil, "", "", ""},
	} {
		form := url.Values{"Action": {"AssumeRole"}, "RoleArn": {tt.role}, "RoleSessionName": {"session"}}
		if tt.role == "" {
			form = url.Values{"Action": {"GetFederationToken"}, "Name": {"bob"}}
		}
		for k, v := range tt.with {
			form[k] = v
		}
		w := h.post(tt.key, "sts", form)
		checks := last.Checks
		m := h.decoded(w)
		if tt.action == "" {
			if w.Code != 200 || m != nil {
				t.Errorf("%s: %d %s, %v", what, w.Code, w.Body, m)
			}
			if tt.with != nil && (len(checks) != 2 || !checks[1].Decision.Allowed) {
				t.Errorf("%s: the trail has %+v", what, checks)
			}
			continue
		}
		refusedOn(t, what, w, 403, "AccessDenied", "")
		if m == nil || m.Allowed || m.Context.Action != tt.action || m.Context.Resource != tt.resource || m.ExplicitDeny != (tt.statement != "") {
			t.Errorf("%s: %+v", what, m)
			continue
		}
		if tt.statement != "" && m.MatchedStatements.Items[0].StatementID != tt.statement {
			t.Errorf("%s: %+v", what, m.MatchedStatements)
		}
		if len(checks) != 2 || checks[1].Action != tt.action || checks[1].Resource != tt.resource || checks[1].Decision.Allowed {
			t.Errorf("%s: the trail has %+v", what, checks)
		}
	}
}

// Who is refused a role by its trust policy is not told why, and gets no message;
// the trail has the decision.
func TestAssumeRoleWithWebIdentity_trail(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var last wire.Record
	h.p = wire.New(wire.Config{Authority: h.s, APIs: h.s.APIs(), Account: account, Region: "us-east-1", Now: h.clock,
		EncodeRefusal: h.s.EncodeRefusal, Record: func(r wire.Record) { last = r }, Strict: true})
	h.issuers["https://idp.example/pool"] = token.NewKeys(signer().Key())
	provider := h.oidc("https://idp.example/pool", nil, "client1")
	role := h.role("web", h.webTrust(provider, `"StringEquals":{"idp.example/pool:sub":"u1"}`), allowRead)
	for subject, may := range map[string]bool{"u1": true, "u2": false} {
		w := h.post(sigv4.Credentials{}, "sts", url.Values{"Action": {"AssumeRoleWithWebIdentity"}, "RoleArn": {role}, "RoleSessionName": {"web"},
			"WebIdentityToken": {h.webToken(signer(), map[string]any{"sub": subject})}})
		if (w.Code == 200) != may || w.Header().Get(wire.MessageHeader) != "" {
			t.Errorf("%s: %d %s, %v", subject, w.Code, w.Body, w.Header())
		}
		if may {
			continue
		}
		refusedOn(t, subject, w, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		if len(last.Checks) != 1 || last.Checks[0].Action != "sts:AssumeRoleWithWebIdentity" || last.Checks[0].Resource != role || last.Checks[0].Decision.Allowed || len(last.Checks[0].Decision.Considered) == 0 {
			t.Errorf("%s: the trail has %+v", subject, last.Checks)
		}
	}
}

// A role that may not be passed.
func TestPassRole_refusalMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.p = wire.New(wire.Config{Authority: h.s, APIs: h.s.APIs(), Account: account, Region: "us-east-1", Now: h.clock, EncodeRefusal: h.s.EncodeRefusal, Strict: true})
	may := h.user("may", `{"Effect":"Allow","Action":["iam:AddRoleToInstanceProfile","iam:PassRole"],"Resource":"*"}`)
	mayNot := h.user("may-not", `{"Effect":"Allow","Action":"iam:AddRoleToInstanceProfile","Resource":"*"}`)
	role := h.role("r", trustAccount, allowAll)
	must(t)(h.iam.CreateInstanceProfile(h.root(), &iamapi.CreateInstanceProfileRequest{InstanceProfileName: "p"}))
	form := url.Values{"Action": {"AddRoleToInstanceProfile"}, "InstanceProfileName": {"p"}, "RoleName": {"r"}}
	w := h.post(mayNot, "iam", form)
	refusedOn(t, "may not", w, 403, "AccessDenied", "")
	m := h.decoded(w)
	if m == nil || m.Context.Action != "iam:PassRole" || m.Context.Resource != role || m.Allowed {
		t.Fatalf("%+v", m)
	}
	passed := ""
	for _, c := range m.Context.Conditions.Items {
		if c.Key == "iam:passedtoservice" {
			passed = c.Values.Items[0].Value
		}
	}
	if passed != "ec2.amazonaws.com" {
		t.Errorf("conditions %+v", m.Context.Conditions)
	}
	if w := h.post(may, "iam", form); w.Code != 200 || h.decoded(w) != nil {
		t.Errorf("may: %d %s", w.Code, w.Body)
	}
}

// To IAM a session of GetSessionToken without a second factor is no credential; in
// STS it has two operations, whatever its user may.
func TestGetSessionToken_reach(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.user("alice", allowAll)
	serial, seed := h.device("phone")
	if err := h.enable("alice", serial, h.code(seed, 0), h.code(seed, 1)); err != nil {
		t.Fatal(err)
	}
	h.advance(200e9)
	session := func(key sigv4.Credentials, in *stsapi.GetSessionTokenRequest) sigv4.Credentials {
		c := must(t)(h.sts.GetSessionToken(h.as(key), in)).(*stsapi.GetSessionTokenResponse).Credentials
		return sigv4.Credentials{AccessKeyID: c.AccessKeyId, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken}
	}
	plain := session(alice, &stsapi.GetSessionTokenRequest{})
	shown := session(alice, &stsapi.GetSessionTokenRequest{SerialNumber: &serial, TokenCode: wire.String(h.code(seed, 0))})
	root := session(sigv4.Credentials{AccessKeyID: "test"}, &stsapi.GetSessionTokenRequest{})
	role := h.role("r", trustAccount, allowAll)
	assumed, err := h.assume(plain, &stsapi.AssumeRoleRequest{RoleArn: role})
	if err != nil {
		t.Fatal(err)
	}
	const invalid = "The security token included in the request is invalid."
	forged := plain
	forged.SecretAccessKey = "x"
	for what, tt := range map[string]struct {
		key           sigv4.Credentials
		service       string
		form          url.Values
		code, message string
	}{
		"IAM":                         {plain, "iam", url.Values{"Action": {"ListUsers"}}, "InvalidClientTokenId", invalid},
		"IAM, about oneself":          {plain, "iam", url.Values{"Action": {"GetUser"}}, "InvalidClientTokenId", invalid},
		"IAM, of root":                {root, "iam", url.Values{"Action": {"ListUsers"}}, "InvalidClientTokenId", invalid},
		"IAM, wrongly signed":         {forged, "iam", url.Values{"Action": {"ListUsers"}}, "SignatureDoesNotMatch", ""},
		"IAM, second factor":          {shown, "iam", url.Values{"Action": {"ListUsers"}}, "", ""},
		"IAM, long-lived key":         {alice, "iam", url.Values{"Action": {"ListUsers"}}, "", ""},
		"IAM, a role of the session":  {assumed, "iam", url.Values{"Action": {"ListUsers"}}, "", ""},
		"who am I":                    {plain, "sts", url.Values{"Action": {"GetCallerIdentity"}}, "", ""},
		"a role":                      {plain, "sts", url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"session"}}, "", ""},
		"a role, second factor":       {shown, "sts", url.Values{"Action": {"AssumeRole"}, "RoleArn": {role}, "RoleSessionName": {"session"}}, "", ""},
		"a session":                   {plain, "sts", url.Values{"Action": {"GetSessionToken"}}, "AccessDenied", "Cannot call GetSessionToken with session credentials"},
		"a session, second factor":    {shown, "sts", url.Values{"Action": {"GetSessionToken"}}, "AccessDenied", "Cannot call GetSessionToken with session credentials"},
		"federation":                  {plain, "sts", url.Values{"Action": {"GetFederationToken"}, "Name": {"bob"}}, "AccessDenied", ""},
		"federation, second factor":   {shown, "sts", url.Values{"Action": {"GetFederationToken"}, "Name": {"bob"}}, "AccessDenied", ""},
		"a message":                   {plain, "sts", url.Values{"Action": {"DecodeAuthorizationMessage"}, "EncodedMessage": {"x"}}, "AccessDenied", ""},
		"a message, second factor":    {shown, "sts", url.Values{"Action": {"DecodeAuthorizationMessage"}, "EncodedMessage": {"x"}}, "AccessDenied", ""},
		"a message, long-lived key":   {alice, "sts", url.Values{"Action": {"DecodeAuthorizationMessage"}, "EncodedMessage": {"x"}}, "InvalidAuthorizationMessageException", ""},
		"a key's account":             {plain, "sts", url.Values{"Action": {"GetAccessKeyInfo"}, "AccessKeyId": {alice.AccessKeyID}}, "AccessDenied", ""},
		"a key's account, long-lived": {alice, "sts", url.Values{"Action": {"GetAccessKeyInfo"}, "AccessKeyId": {alice.AccessKeyID}}, "", ""},
	} {
		w := h.post(tt.key, tt.service, tt.form)
		if tt.code == "" {
			if w.Code != 200 {
				t.Errorf("%s: %d %s", what, w.Code, w.Body)
			}
			continue
		}
		status := 403
		if strings.HasPrefix(tt.code, "InvalidAuthorization") {
			status = 400
		}
		refusedOn(t, what, w, status, tt.code, tt.message)
	}
}
