package iam

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// told is the simulator's answer in one line per action and resource.
func told(out *iamapi.SimulatePolicyResponse) string {
	var b strings.Builder
	for _, r := range out.EvaluationResults {
		fmt.Fprintf(&b, "%s %s %s", r.EvalActionName, *r.EvalResourceName, r.EvalDecision)
		for _, m := range r.MatchedStatements {
			fmt.Fprintf(&b, " %s[%d:%d-%d:%d]", *m.SourcePolicyId, *m.StartPosition.Line, *m.StartPosition.Column, *m.EndPosition.Line, *m.EndPosition.Column)
		}
		for _, k := range r.MissingContextValues {
			b.WriteString(" ?" + k)
		}
		if o := r.OrganizationsDecisionDetail; o != nil {
			fmt.Fprintf(&b, " org=%t", *o.AllowedByOrganizations)
		}
		if p := r.PermissionsBoundaryDecisionDetail; p != nil {
			fmt.Fprintf(&b, " boundary=%t", *p.AllowedByPermissionsBoundary)
		}
		for _, rs := range r.ResourceSpecificResults {
			fmt.Fprintf(&b, " (%s %s %v %v)", rs.EvalResourceName, rs.EvalResourceDecision, rs.MissingContextValues, rs.EvalDecisionDetails)
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (h *house) simulateCustom(in *iamapi.SimulateCustomPolicyRequest) (string, error) {
	out, err := h.iam.SimulateCustomPolicy(h.root(), in)
	if err != nil {
		return err.Error(), err
	}
	return told(out), nil
}

const conditional = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "arn:aws:ssm:*:*:parameter/a"},
    {
      "Effect": "Allow", "Action": "ssm:PutParameter", "Resource": "*",
      "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    },
    {"Effect": "Deny", "Action": "ssm:DeleteParameter", "Resource": "*"}
  ]
}`

func TestSimulateCustomPolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const a, b = "arn:aws:ssm:us-east-1:000000000000:parameter/a", "arn:aws:ssm:us-east-1:000000000000:parameter/b"
	other := "arn:aws:ssm:us-east-1:111111111111:parameter/a"
	ip := func(v string) []iamapi.ContextEntry {
		return []iamapi.ContextEntry{{ContextKeyName: wire.String("aws:SourceIp"), ContextKeyType: "ip", ContextKeyValues: []string{v}}}
	}
	grant := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:user/ada"},"Action":"ssm:*","Resource":"*"}]}`
	for name, c := range map[string]struct {
		in   iamapi.SimulateCustomPolicyRequest
		want string
	}{
		"one resource": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:GetParameter"}, ResourceArns: []string{a}},
			"ssm:GetParameter " + a + " allowed PolicyInputList.1[3:17-4:97] (" + a + " allowed [] map[])"},
		"two resources": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:GetParameter"}, ResourceArns: []string{a, b}},
			"ssm:GetParameter * implicitDeny (" + a + " allowed [] map[]) (" + b + " implicitDeny [] map[])"},
		"a value is missing": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:PutParameter"}}, "ssm:PutParameter * implicitDeny ?aws:SourceIp"},
		"the value is right": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:PutParameter"}, ContextEntries: ip("10.1.2.3")},
			"ssm:PutParameter * allowed PolicyInputList.1[4:97-8:6]"},
		"the value is wrong": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:PutParameter"}, ContextEntries: ip("11.1.2.3")}, "ssm:PutParameter * implicitDeny"},
		"explicit deny":      {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:DeleteParameter"}}, "ssm:DeleteParameter * explicitDeny PolicyInputList.1[8:6-9:73]"},
		"boundary": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:GetParameter", "ssm:PutParameter"}, ResourceArns: []string{a}, PermissionsBoundaryPolicyInputList: []string{doc(`{"Effect":"Allow","Action":"ssm:Put*","Resource":"*"}`)}},
			"ssm:GetParameter " + a + " implicitDeny PolicyInputList.1[3:17-4:97] boundary=false (" + a + " implicitDeny [] map[])\n" +
				"ssm:PutParameter " + a + " implicitDeny boundary=true (" + a + " implicitDeny [aws:SourceIp] map[])"},
		"resource policy": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:AddTagsToResource"}, ResourceArns: []string{a}, ResourcePolicy: &grant, CallerArn: wire.String("arn:aws:iam::000000000000:user/ada")},
			"ssm:AddTagsToResource " + a + " allowed ResourcePolicy[1:38-1:145] (" + a + " allowed [] map[])"},
		"other account": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:AddTagsToResource"}, ResourceArns: []string{other}, ResourcePolicy: &grant, CallerArn: wire.String("arn:aws:iam::000000000000:user/ada")},
			"ssm:AddTagsToResource " + other + " implicitDeny ResourcePolicy[1:38-1:145] (" + other + " implicitDeny [] map[IAM Policy:implicitDeny Resource Policy:allowed])"},
		"owner of a bucket": {iamapi.SimulateCustomPolicyRequest{ActionNames: []string{"ssm:GetParameter"}, ResourceArns: []string{"arn:aws:ssm:::parameter/a"}, ResourceOwner: wire.String("arn:aws:iam::111111111111:root")},
			"ssm:GetParameter arn:aws:ssm:::parameter/a implicitDeny PolicyInputList.1[3:17-4:97] (arn:aws:ssm:::parameter/a implicitDeny [] map[IAM Policy:allowed Resource Policy:implicitDeny])"},
	} {
		c.in.PolicyInputList = []string{conditional}
		got, err := h.simulateCustom(&c.in)
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s (%v)", name, got, c.want, err)
		}
	}
}

func TestSimulate_BadInput(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	entry := func(name, kind string, values ...string) []iamapi.ContextEntry {
		return []iamapi.ContextEntry{{ContextKeyName: &name, ContextKeyType: iamapi.ContextKeyTypeEnum(kind), ContextKeyValues: values}}
	}
	all := doc(`{"Effect":"Allow","Action":"*","Resource":"*"}`)
	for want, in := range map[string]iamapi.SimulateCustomPolicyRequest{
		"The policy is not in the valid JSON format.":                                                           {PolicyInputList: []string{"{"}},
		"Invalid Action Name: ssm:*":                                                                            {ActionNames: []string{"ssm:*"}},
		"Invalid Resource Arn: parameter/a":                                                                     {ResourceArns: []string{"parameter/a"}},
		"'111111111111' is not a valid as a Resource Owner.":                                                    {ResourceOwner: wire.String("111111111111")},
		"CallerArn is required when a ResourcePolicy is given.":                                                 {ResourcePolicy: &all},
		"Invalid Caller Arn: arn:aws:iam::000000000000:role/r is not the ARN of an IAM user.":                   {CallerArn: wire.String("arn:aws:iam::000000000000:role/r")},
		"Only one permissions boundary policy can be simulated at a time.":                                      {PermissionsBoundaryPolicyInputList: []string{all, all}},
		"Invalid Resource Handling Option: EC2":                                                                 {ResourceHandlingOption: wire.String("EC2")},
		"Invalid Context Entry: x is not a valid numeric value for aws:EpochTime.":                              {ContextEntries: entry("aws:EpochTime", "numeric", "x")},
		"Invalid Context Entry: yes is not a valid boolean value for aws:SecureTransport.":                      {ContextEntries: entry("aws:SecureTransport", "boolean", "yes")},
		"Invalid Context Entry: 1.2.3 is not a valid ip value for aws:SourceIp.":                                {ContextEntries: entry("aws:SourceIp", "ipList", "10.0.0.1", "1.2.3")},
		"Invalid Context Entry: today is not a valid date value for aws:CurrentTime.":                           {ContextEntries: entry("aws:CurrentTime", "date", "today")},
		"Invalid Context Entry: ? is not a valid binary value for a:bcd.":                                       {ContextEntries: entry("a:bcd", "binary", "?")},
		"Invalid Context Entry: aws:username needs a name, a type and, unless it is a list, exactly one value.": {ContextEntries: entry("aws:username", "string", "a", "b")},
		"Invalid Marker.": {Marker: wire.String("abc")},
	} {
		if in.PolicyInputList == nil {
			in.PolicyInputList = []string{all}
		}
		if in.ActionNames == nil {
			in.ActionNames = []string{"ssm:GetParameter"}
		}
		_, err := h.simulateCustom(&in)
		var e *iamapi.InvalidInputException
		if !errors.As(err, &e) || e.Message != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	for arn, want := range map[string]string{
		"arn:aws:iam::000000000000:user/nobody":        "NoSuchEntity: The user with name nobody cannot be found.",
		"arn:aws:iam::000000000000:group/none":         "NoSuchEntity: The group with name none cannot be found.",
		"arn:aws:iam::111111111111:role/theirs":        "InvalidInput: Invalid Policy Source Arn: caller's account 000000000000 does not have access to policies in account 111111111111",
		"arn:aws:sts::000000000000:assumed-role/r/now": "InvalidInput: Invalid Entity Arn: arn:aws:sts::000000000000:assumed-role/r/now does not clearly define entity type and name.",
	} {
		_, err := h.s.SimulatePrincipalPolicy(h.root(), &iamapi.SimulatePrincipalPolicyRequest{PolicySourceArn: arn, ActionNames: []string{"ssm:GetParameter"}})
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v", arn, err)
		}
	}
}

// A user is simulated with its groups and its boundary, a group by itself; pages are of actions; who
// may not simulate is refused on the principal's ARN.
func TestSimulatePrincipalPolicy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := h.root()
	ada := h.user("ada", `{"Effect":"Allow","Action":"ssm:GetParameter","Resource":"*","Condition":{"StringEquals":{"aws:username":"ada"}}},{"Effect":"Allow","Action":"iam:SimulatePrincipalPolicy","Resource":"arn:aws:iam::000000000000:user/ada"}`)
	must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "staff"}))
	must(t)(h.iam.PutGroupPolicy(ctx, &iamapi.PutGroupPolicyRequest{GroupName: "staff", PolicyName: "g", PolicyDocument: doc(`{"Effect":"Allow","Action":"ssm:PutParameter","Resource":"*"}`)}))
	must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "staff", UserName: "ada"}))
	simulate := func(arn string) *iamapi.SimulatePrincipalPolicyRequest {
		return &iamapi.SimulatePrincipalPolicyRequest{PolicySourceArn: arn, ActionNames: []string{"ssm:GetParameter", "ssm:PutParameter", "ssm:DeleteParameter"}}
	}
	const user, group = "arn:aws:iam::000000000000:user/ada", "arn:aws:iam::000000000000:group/staff"
	got := told(must(t)(h.iam.SimulatePrincipalPolicy(ctx, simulate(user))).(*iamapi.SimulatePolicyResponse))
	want := "ssm:GetParameter * allowed user_ada_p[1:38-1:151]\nssm:PutParameter * allowed group_staff_g[1:38-1:99]\nssm:DeleteParameter * implicitDeny"
	if got != want {
		t.Errorf("user:\ngot  %s\nwant %s", got, want)
	}
	got = told(must(t)(h.iam.SimulatePrincipalPolicy(ctx, simulate(group))).(*iamapi.SimulatePolicyResponse))
	if want := "ssm:GetParameter * implicitDeny\nssm:PutParameter * allowed group_staff_g[1:38-1:99]\nssm:DeleteParameter * implicitDeny"; got != want {
		t.Errorf("group:\ngot  %s\nwant %s", got, want)
	}
	in := simulate(user)
	in.MaxItems = wire.Int32(2)
	first := must(t)(h.iam.SimulatePrincipalPolicy(ctx, in)).(*iamapi.SimulatePolicyResponse)
	in.Marker = first.Marker
	second := must(t)(h.iam.SimulatePrincipalPolicy(ctx, in)).(*iamapi.SimulatePolicyResponse)
	if n, m := len(first.EvaluationResults), len(second.EvaluationResults); n != 2 || m != 1 || !*first.IsTruncated || *second.IsTruncated {
		t.Errorf("pages of %d and %d", n, m)
	}
	if _, err := h.iam.SimulatePrincipalPolicy(h.as(ada), simulate(user)); err != nil {
		t.Errorf("herself: %v", err)
	}
	_, err := h.iam.SimulatePrincipalPolicy(h.as(ada), simulate(group))
	if err == nil || !strings.Contains(err.Error(), "is not authorized to perform: iam:SimulatePrincipalPolicy on resource: "+group) {
		t.Errorf("another: %v", err)
	}
	keys := must(t)(h.iam.GetContextKeysForPrincipalPolicy(ctx, &iamapi.GetContextKeysForPrincipalPolicyRequest{PolicySourceArn: user, PolicyInputList: []string{conditional}})).(*iamapi.GetContextKeysForPolicyResponse)
	if got := strings.Join(keys.ContextKeyNames, " "); got != "aws:SourceIp aws:username" {
		t.Errorf("context keys: %s", got)
	}
	if _, err := h.iam.GetContextKeysForCustomPolicy(ctx, &iamapi.GetContextKeysForCustomPolicyRequest{PolicyInputList: []string{"nothing"}}); err == nil {
		t.Error("keys of what is no policy")
	}
}

// whim makes statements of a small world, so that they often meet.
type whim struct{ *rand.Rand }

func (w whim) pick(of ...string) string { return of[w.IntN(len(of))] }

func (w whim) statement() string {
	effect := w.pick("Allow", "Allow", "Allow", "Deny")
	action := w.pick(`"Action":"*"`, `"Action":"ssm:*"`, `"Action":["ssm:GetParameter","iam:GetUser"]`, `"Action":"ssm:Put*"`, `"NotAction":"iam:*"`, `"NotAction":"ssm:Get*"`)
	resource := w.pick(`"Resource":"*"`, `"Resource":"arn:aws:ssm:*:*:parameter/a*"`, `"NotResource":"arn:aws:ssm:*:*:parameter/b"`, `"Resource":"arn:aws:ssm:*:*:parameter/${aws:PrincipalTag/team}"`)
	condition := w.pick("", "", "", `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`, `,"Condition":{"StringEquals":{"aws:PrincipalTag/team":"a"}}`,
		`,"Condition":{"Bool":{"aws:SecureTransport":"true"}}`, `,"Condition":{"StringLikeIfExists":{"aws:username":"u*"}}`, `,"Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/*"}}`)
	return fmt.Sprintf(`{"Effect":%q,%s,%s%s}`, effect, action, resource, condition)
}

func (w whim) document() string {
	s := w.statement()
	for range w.IntN(3) {
		s += "," + w.statement()
	}
	return doc(s)
}

// The simulator and the engine that decides real calls give the same answer, for users with groups
// and boundaries and for roles, with and without service control policies.
func TestSimulate_AgreesWithAuthorize(t *testing.T) {
	t.Parallel()
	w := whim{rand.New(rand.NewPCG(3, 14))}
	allowed := 0
	for range 40 {
		h := newHouse(t)
		ctx := h.root()
		boundary := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "bound", PolicyDocument: w.document()})).(*iamapi.CreatePolicyResponse).Policy.Arn
		managed := *must(t)(h.iam.CreatePolicy(ctx, &iamapi.CreatePolicyRequest{PolicyName: "managed", PolicyDocument: w.document()})).(*iamapi.CreatePolicyResponse).Policy.Arn
		user := &iamapi.CreateUserRequest{UserName: "u", Tags: []iamapi.Tag{{Key: "team", Value: w.pick("a", "b")}}}
		if w.IntN(2) == 0 {
			user.PermissionsBoundary = &boundary
		}
		must(t)(h.iam.CreateUser(ctx, user))
		must(t)(h.iam.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: "u", PolicyName: "own", PolicyDocument: w.document()}))
		must(t)(h.iam.CreateGroup(ctx, &iamapi.CreateGroupRequest{GroupName: "g"}))
		must(t)(h.iam.AttachGroupPolicy(ctx, &iamapi.AttachGroupPolicyRequest{GroupName: "g", PolicyArn: managed}))
		must(t)(h.iam.AddUserToGroup(ctx, &iamapi.AddUserToGroupRequest{GroupName: "g", UserName: "u"}))
		role := h.role("r", `{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`, "")
		must(t)(h.iam.PutRolePolicy(ctx, &iamapi.PutRolePolicyRequest{RoleName: "r", PolicyName: "own", PolicyDocument: w.document()}))
		must(t)(h.iam.AttachRolePolicy(ctx, &iamapi.AttachRolePolicyRequest{RoleName: "r", PolicyArn: managed}))
		if w.IntN(3) == 0 {
			d, err := policy.Parse("guardrail", []byte(w.document()))
			if err != nil {
				t.Fatal(err)
			}
			h.s.guards = []*policy.Document{d}
		}
		allowed += h.compare(w, "arn:aws:iam::"+account+":user/u", role)
	}
	if allowed < 50 || allowed > 550 {
		t.Errorf("%d of 640 questions were allowed: the world is too dull", allowed)
	}
}

// compare asks both about the same things and returns how much was allowed.
func (h *house) compare(w whim, user, role string) (allowed int) {
	h.t.Helper()
	me := wire.CallFrom(h.root()).Caller
	for _, source := range []string{user, role} {
		for range 8 {
			action := w.pick("ssm:GetParameter", "ssm:PutParameter", "iam:GetUser", "SSM:getparameter")
			resource := w.pick("arn:aws:ssm:us-east-1:000000000000:parameter/a", "arn:aws:ssm:us-east-1:000000000000:parameter/b", "arn:aws:ssm:us-east-1:111111111111:parameter/a", "*")
			keys, entries := policy.Context{}, []iamapi.ContextEntry(nil)
			for key, values := range map[string][]string{"aws:SourceIp": {"10.9.8.7", "11.9.8.7"}, "aws:SecureTransport": {"true", "false"}} {
				if v := w.pick(append(values, "")...); v != "" {
					keys.Set(key, v)
					entries = append(entries, iamapi.ContextEntry{ContextKeyName: wire.String(key), ContextKeyType: "string", ContextKeyValues: []string{v}})
				}
			}
			caller := me
			caller.Principal = h.principalOf(source)
			d, err := h.s.Authorize(h.t.Context(), caller, action, resource, accountOfARN(resource, account), keys)
			if err != nil {
				h.t.Fatal(err)
			}
			out, err := h.s.SimulatePrincipalPolicy(h.t.Context(), &iamapi.SimulatePrincipalPolicyRequest{
				PolicySourceArn: source, ActionNames: []string{action}, ResourceArns: []string{resource}, ContextEntries: entries,
			})
			if err != nil {
				h.t.Fatal(err)
			}
			got := out.EvaluationResults[0].EvalDecision
			if got != resultOf(d) {
				h.t.Errorf("%s %s %s %v: simulated %s, decided %+v", source, action, resource, keys, got, d)
			}
			if d.Allowed {
				allowed++
				if len(out.EvaluationResults[0].MatchedStatements) == 0 {
					h.t.Errorf("%s %s %s: allowed by no statement", source, action, resource)
				}
			}
		}
	}
	return allowed
}

// principalOf is who really calls: as a credential tells it, not the simulator.
func (h *house) principalOf(arn string) policy.Principal {
	h.t.Helper()
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	if strings.Contains(arn, ":user/") {
		k := must(h.t)(h.s.CreateAccessKey(h.t.Context(), &iamapi.CreateAccessKeyRequest{UserName: &name})).(*iamapi.CreateAccessKeyResponse).AccessKey
		c := must(h.t)(h.s.Credential(h.t.Context(), k.AccessKeyId, "")).(wire.Credential)
		must(h.t)(h.s.DeleteAccessKey(h.t.Context(), &iamapi.DeleteAccessKeyRequest{UserName: &name, AccessKeyId: k.AccessKeyId}))
		return c.Caller.Principal
	}
	role := must(h.t)(h.s.role(h.t.Context(), name)).(*entity)
	c := must(h.t)(h.s.roleSession(role, simulatedSession, nil, limits{}, 3600e9)).(Credentials)
	return must(h.t)(h.s.Credential(h.t.Context(), c.AccessKeyID, c.SessionToken)).(wire.Credential).Caller.Principal
}
