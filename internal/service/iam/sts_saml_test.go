package iam

import (
	"crypto/sha1"
	"encoding/base64"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/saml/samltest"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/stsapi"
)

// samlHouse is a house with a SAML provider and a role for it.
type samlHouse struct {
	*house
	idp            *samltest.IDP
	provider, role string
}

func newSAMLHouse(t *testing.T, conditions string) *samlHouse {
	t.Helper()
	h := &samlHouse{house: newHouse(t)}
	var err error
	if h.idp, err = samltest.New("https://idp.example/saml", h.clock()); err != nil {
		t.Fatal(err)
	}
	h.provider = *must(t)(h.iam.CreateSAMLProvider(h.root(), &iamapi.CreateSAMLProviderRequest{Name: "corp", SAMLMetadataDocument: h.idp.Metadata()})).(*iamapi.CreateSAMLProviderResponse).SAMLProviderArn
	h.role = h.house.role("federated", `{"Effect":"Allow","Principal":{"Federated":"`+h.provider+`"},"Action":["sts:AssumeRoleWithSAML","sts:TagSession","sts:SetSourceIdentity"],"Condition":{`+conditions+`}}`,
		`{"Effect":"Allow","Action":"ssm:Get*","Resource":"*","Condition":{"StringEquals":{"saml:sub":"alice"}}}`)
	must(t)(h.iam.UpdateRole(h.root(), &iamapi.UpdateRoleRequest{RoleName: "federated", MaxSessionDuration: wire.Int32(14400)}))
	return h
}

func (h *samlHouse) right() samltest.Response {
	now := h.clock()
	return samltest.Response{
		Issuer: h.idp.EntityID, Subject: "alice", Format: nameIDFormat + "persistent", Audience: samlAudience, Recipient: samlEndpoint, Issued: now,
		NotBefore: now.Add(-time.Minute), NotOnOrAfter: now.Add(10 * time.Minute), Confirmed: now.Add(10 * time.Minute),
		Status: "urn:oasis:names:tc:SAML:2.0:status:Success", SignAssertion: true,
		Attributes: map[string][]string{samlAttributes + "Role": {"arn:aws:iam::000000000000:role/other,arn:aws:iam::000000000000:saml-provider/other", h.role + "," + h.provider}, samlAttributes + "RoleSessionName": {"alice@example.com"}},
	}
}

func (h *samlHouse) present(r samltest.Response, change func(*stsapi.AssumeRoleWithSAMLRequest)) (*stsapi.AssumeRoleWithSAMLResponse, error) {
	h.t.Helper()
	doc, err := h.idp.Build(r)
	if err != nil {
		h.t.Fatal(err)
	}
	in := &stsapi.AssumeRoleWithSAMLRequest{RoleArn: h.role, PrincipalArn: h.provider, SAMLAssertion: samltest.Encode(doc)}
	if change != nil {
		change(in)
	}
	return h.sts.AssumeRoleWithSAML(wire.WithCall(h.t.Context(), &wire.Call{Account: account, Region: "eu-west-1", Time: h.clock(), SourceIP: "192.0.2.1"}), in)
}

const samlTrust = `"StringEquals":{"saml:aud":"https://signin.aws.amazon.com/saml"}`

func TestAssumeRoleWithSAML(t *testing.T) {
	t.Parallel()
	h := newSAMLHouse(t, samlTrust)
	out, err := h.present(h.right(), nil)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte("https://idp.example/saml" + account + "/corp"))
	for what, pair := range map[string][2]string{
		"ARN":       {out.AssumedRoleUser.Arn, "arn:aws:sts::000000000000:assumed-role/federated/alice@example.com"},
		"issuer":    {wire.Value(out.Issuer), "https://idp.example/saml"},
		"qualifier": {wire.Value(out.NameQualifier), base64.StdEncoding.EncodeToString(sum[:])},
		"subject":   {wire.Value(out.Subject), "alice"},
		"type":      {wire.Value(out.SubjectType), "persistent"},
		"audience":  {wire.Value(out.Audience), samlEndpoint},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: got %s, want %s", what, pair[0], pair[1])
		}
	}
	if !out.Credentials.Expiration.Equal(h.clock().Add(time.Hour)) {
		t.Errorf("expires %v", out.Credentials.Expiration)
	}
	key := sigv4.Credentials{AccessKeyID: out.Credentials.AccessKeyId, SecretAccessKey: out.Credentials.SecretAccessKey, SessionToken: out.Credentials.SessionToken}
	if !h.may(key, "ssm:GetParameter", "*") || h.may(key, "ssm:PutParameter", "*") {
		t.Error("wrong scope")
	}
	c, err := h.s.Credential(t.Context(), key.AccessKeyID, key.SessionToken)
	if err != nil || c.Caller.Context.Get("saml:namequalifier") == nil || c.Caller.Context.Get("saml:aud") != nil || c.Caller.Context.Get("aws:FederatedProvider")[0] != h.provider {
		t.Errorf("%v, %v", c.Caller.Context, err)
	}
	// It may be presented again until it is five minutes old.
	again := h.right()
	again.Issued = again.Issued.Add(-5*time.Minute + time.Second)
	if _, err := h.present(again, nil); err != nil {
		t.Errorf("almost five minutes old: %v", err)
	}
}

func TestAssumeRoleWithSAML_refused(t *testing.T) {
	t.Parallel()
	h := newSAMLHouse(t, samlTrust)
	other, err := samltest.New("https://idp.example/saml", h.clock())
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, values ...string) func(*samltest.Response) {
		return func(r *samltest.Response) {
			r.Attributes = maps.Clone(r.Attributes)
			r.Attributes[samlAttributes+name] = values
		}
	}
	const notAuthorized = "Not authorized to perform sts:AssumeRoleWithSAML"
	for name, tt := range map[string]struct {
		says          func(*samltest.Response)
		asks          func(*stsapi.AssumeRoleWithSAMLRequest)
		code, message string
	}{
		"unsigned":           {func(r *samltest.Response) { r.SignAssertion = false }, nil, "InvalidIdentityToken", "Response signature invalid"},
		"another issuer":     {func(r *samltest.Response) { r.Issuer = "https://evil.example" }, nil, "InvalidIdentityToken", "Issuer not present in specified provider"},
		"another audience":   {func(r *samltest.Response) { r.Audience = "urn:other" }, nil, "InvalidIdentityToken", "Response does not contain the required audience."},
		"another recipient":  {func(r *samltest.Response) { r.Recipient = "https://evil.example" }, nil, "InvalidIdentityToken", "Response does not contain the required audience."},
		"another region":     {func(r *samltest.Response) { r.Recipient = "https://us-west-2.signin.aws.amazon.com/saml" }, nil, "InvalidIdentityToken", ""},
		"five minutes old":   {func(r *samltest.Response) { r.Issued = r.Issued.Add(-5 * time.Minute) }, nil, "ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"},
		"expired":            {func(r *samltest.Response) { r.NotOnOrAfter = h.clock() }, nil, "ExpiredTokenException", ""},
		"a failure":          {func(r *samltest.Response) { r.Status = "urn:oasis:names:tc:SAML:2.0:status:Requester" }, nil, "IDPRejectedClaim", ""},
		"no session name":    {set("RoleSessionName"), nil, "InvalidIdentityToken", "RoleSessionName is required in AuthnResponse"},
		"bad session name":   {set("RoleSessionName", "a b"), nil, "InvalidIdentityToken", "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"},
		"two session names":  {set("RoleSessionName", "one", "two"), nil, "InvalidIdentityToken", ""},
		"no role":            {set("Role"), nil, "AccessDenied", notAuthorized},
		"another role":       {set("Role", "arn:aws:iam::000000000000:role/other,"+h.provider), nil, "AccessDenied", notAuthorized},
		"role of another":    {set("Role", h.role+",arn:aws:iam::000000000000:saml-provider/other"), nil, "AccessDenied", notAuthorized},
		"bad duration":       {set("SessionDuration", "1"), nil, "InvalidIdentityToken", ""},
		"long duration":      {set("SessionDuration", "43200"), nil, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."},
		"bad source":         {set("SourceIdentity", "aws:x"), nil, "InvalidIdentityToken", `Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"`},
		"bad tag":            {set("PrincipalTag:a{", "x"), nil, "InvalidIdentityToken", ""},
		"two values":         {set("PrincipalTag:a", "x", "y"), nil, "InvalidIdentityToken", ""},
		"transitive unknown": {set("TransitiveTagKeys", "nothing"), nil, "InvalidParameterValue", ""},
		"no such provider":   {nil, func(in *stsapi.AssumeRoleWithSAMLRequest) { in.PrincipalArn += "x" }, "InvalidIdentityToken", "Specified provider doesn't exist"},
		"no assertion":       {nil, func(in *stsapi.AssumeRoleWithSAMLRequest) { in.SAMLAssertion = "!!!!" }, "InvalidIdentityToken", "Invalid base64 SAMLResponse"},
		"a user's ARN":       {set("Role", "arn:aws:iam::000000000000:user/x,"+h.provider), func(in *stsapi.AssumeRoleWithSAMLRequest) { in.RoleArn = "arn:aws:iam::000000000000:user/x" }, "ValidationError", "Request ARN is invalid"},
		"malformed policy":   {nil, func(in *stsapi.AssumeRoleWithSAMLRequest) { in.Policy = wire.String("{}") }, "MalformedPolicyDocument", ""},
		"another key":        {nil, func(in *stsapi.AssumeRoleWithSAMLRequest) { in.SAMLAssertion = h.forge(other) }, "InvalidIdentityToken", "Response signature invalid"},
	} {
		r := h.right()
		if tt.says != nil {
			tt.says(&r)
		}
		out, err := h.present(r, tt.asks)
		want(t, name, err, tt.code, tt.message)
		if err == nil || out != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	must(t)(h.iam.DeleteSAMLProvider(h.root(), &iamapi.DeleteSAMLProviderRequest{SAMLProviderArn: h.provider}))
	_, err = h.present(h.right(), nil)
	want(t, "provider deleted", err, "InvalidIdentityToken", "Specified provider doesn't exist")
}

func (h *samlHouse) forge(idp *samltest.IDP) string {
	doc, err := idp.Build(h.right())
	if err != nil {
		h.t.Fatal(err)
	}
	return samltest.Encode(doc)
}

// Conditions of the trust policy decide, each with its twin.
func TestAssumeRoleWithSAML_trust(t *testing.T) {
	t.Parallel()
	for condition, may := range map[string]bool{
		samlTrust: true,
		`"StringEquals":{"saml:aud":"https://elsewhere"}`:                               false,
		`"StringEquals":{"saml:iss":"https://idp.example/saml"}`:                        true,
		`"StringEquals":{"saml:iss":"https://other"}`:                                   false,
		`"StringEquals":{"saml:doc":"000000000000/corp"}`:                               true,
		`"StringEquals":{"saml:doc":"000000000000/other"}`:                              false,
		`"StringEquals":{"saml:sub":"alice","saml:sub_type":"persistent"}`:              true,
		`"StringEquals":{"saml:sub_type":"transient"}`:                                  false,
		`"StringEquals":{"sts:RoleSessionName":"alice@example.com"}`:                    true,
		`"StringEquals":{"sts:RoleSessionName":"bob"}`:                                  false,
		`"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}`:                                   true,
		`"IpAddress":{"aws:SourceIp":"198.51.100.0/24"}`:                                false,
		`"DateLessThan":{"aws:CurrentTime":"2026-12-31T00:00:00Z"}`:                     true,
		`"DateLessThan":{"aws:CurrentTime":"2025-12-31T00:00:00Z"}`:                     false,
		`"ForAnyValue:StringEquals":{"saml:edupersonaffiliation":"staff"}`:              true,
		`"ForAnyValue:StringEquals":{"saml:edupersonaffiliation":"guest"}`:              false,
		`"StringEquals":{"aws:RequestTag/team":"red"}`:                                  true,
		`"StringEquals":{"aws:RequestTag/team":"blue"}`:                                 false,
		`"StringEquals":{"sts:SourceIdentity":"alice"}`:                                 true,
		`"StringEquals":{"sts:SourceIdentity":"bob"}`:                                   false,
		`"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":"team"}`:                  true,
		`"ForAllValues:StringEquals":{"sts:TransitiveTagKeys":"other"}`:                 false,
		`"Bool":{"aws:SecureTransport":"true"}`:                                         false,
		`"StringEquals":{"aws:PrincipalArn":"arn:aws:iam::000000000000:user/somebody"}`: false,
	} {
		h := newSAMLHouse(t, condition)
		r := h.right()
		r.Attributes["urn:oid:1.3.6.1.4.1.5923.1.1.1.1"] = []string{"member", "staff"}
		r.Attributes[samlTags+"team"] = []string{"red"}
		r.Attributes[samlAttributes+"TransitiveTagKeys"] = []string{"team"}
		r.Attributes[samlAttributes+"SourceIdentity"] = []string{"alice"}
		out, err := h.present(r, nil)
		if !may {
			want(t, condition, err, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML")
		}
		if (err == nil) != may {
			t.Errorf("%s: %v", condition, err)
			continue
		}
		if may && wire.Value(out.SourceIdentity) != "alice" {
			t.Errorf("source identity %v", out.SourceIdentity)
		}
	}
}

func TestAssumeRoleWithSAML_duration(t *testing.T) {
	t.Parallel()
	h := newSAMLHouse(t, samlTrust)
	for name, tt := range map[string]struct {
		says  string
		ends  time.Duration
		asks  *int32
		lasts time.Duration
	}{
		"neither":                {"", 0, nil, time.Hour},
		"the assertion":          {"7200", 0, nil, 2 * time.Hour},
		"the call is shorter":    {"7200", 0, wire.Int32(1800), 30 * time.Minute},
		"the call is longer":     {"7200", 0, wire.Int32(14400), 2 * time.Hour},
		"the call":               {"", 0, wire.Int32(14400), 4 * time.Hour},
		"the end of the session": {"7200", 20 * time.Minute, wire.Int32(14400), 20 * time.Minute},
	} {
		r := h.right()
		if tt.says != "" {
			r.Attributes[samlAttributes+"SessionDuration"] = []string{tt.says}
		}
		if tt.ends > 0 {
			r.SessionEnds = h.clock().Add(tt.ends)
		}
		out, err := h.present(r, func(in *stsapi.AssumeRoleWithSAMLRequest) { in.DurationSeconds = tt.asks })
		if err != nil || !out.Credentials.Expiration.Equal(h.clock().Add(tt.lasts)) {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
}

// Over the wire, without a signature of the call.
func TestAssumeRoleWithSAML_wire(t *testing.T) {
	t.Parallel()
	h := newSAMLHouse(t, samlTrust)
	form := url.Values{"Action": {"AssumeRoleWithSAML"}, "RoleArn": {h.role}, "PrincipalArn": {h.provider}, "SAMLAssertion": {h.forge(h.idp)}}
	if w := h.post(sigv4.Credentials{}, "sts", form); w.Code != 200 || !strings.Contains(w.Body.String(), "<SubjectType>persistent</SubjectType>") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	raw, _ := base64.StdEncoding.DecodeString(form.Get("SAMLAssertion"))
	form.Set("SAMLAssertion", base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(raw), ">alice<", ">admin<", 1))))
	refusedOn(t, "altered", h.post(sigv4.Credentials{}, "sts", form), 400, "InvalidIdentityToken", "Response signature invalid")
}
