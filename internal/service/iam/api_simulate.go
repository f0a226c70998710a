package iam

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"moat/internal/pure/arn"
	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// simulatedSession is the name of the session in which a role is simulated.
const simulatedSession = "simulation"

// SimulateCustomPolicy implements iamapi.Service.
func (s *Service) SimulateCustomPolicy(ctx context.Context, in *iamapi.SimulateCustomPolicyRequest) (*iamapi.SimulatePolicyResponse, error) {
	m := &simulation{account: s.cfg.Account, sources: map[string]*source{}, principal: policy.Principal{Kind: policy.PrincipalUser, Account: s.cfg.Account, Context: policy.Context{}}}
	if in.ResourcePolicy != nil && wire.Value(in.CallerArn) == "" {
		return nil, invalidInput("CallerArn is required when a ResourcePolicy is given.")
	}
	return s.simulate(ctx, m, in)
}

// SimulatePrincipalPolicy implements iamapi.Service. The account's service
// control policies have their say.
func (s *Service) SimulatePrincipalPolicy(ctx context.Context, in *iamapi.SimulatePrincipalPolicyRequest) (*iamapi.SimulatePolicyResponse, error) {
	var h grantee
	err := s.db.View(ctx, func(tx *store.Tx) (err error) {
		h, err = s.grantee(tx, in.PolicySourceArn)
		return err
	})
	if err != nil {
		return nil, err
	}
	if in.ResourcePolicy != nil && h.kind != "user" && wire.Value(in.CallerArn) == "" {
		return nil, invalidInput("CallerArn is required when a ResourcePolicy is given and PolicySourceArn is not the ARN of a user.")
	}
	m := &simulation{account: s.cfg.Account, sources: map[string]*source{}, principal: s.principal(&h, simulatedSession)}
	m.policies.Guardrails = s.guardrails(&m.principal)
	if err := m.hold(&h); err != nil {
		return nil, &iamapi.PolicyEvaluationException{Message: "The policies of " + h.arn + " cannot be evaluated: " + err.Error()}
	}
	return s.simulate(ctx, m, &iamapi.SimulateCustomPolicyRequest{
		ActionNames: in.ActionNames, CallerArn: in.CallerArn, ContextEntries: in.ContextEntries, Marker: in.Marker, MaxItems: in.MaxItems,
		PermissionsBoundaryPolicyInputList: in.PermissionsBoundaryPolicyInputList, PolicyInputList: in.PolicyInputList,
		ResourceArns: in.ResourceArns, ResourceHandlingOption: in.ResourceHandlingOption, ResourceOwner: in.ResourceOwner, ResourcePolicy: in.ResourcePolicy,
	})
}

// hold adds a grantee's own policies and its boundary.
func (m *simulation) hold(h *grantee) error {
	for _, src := range h.sources {
		d, err := m.compile(src, policy.IdentityPolicy)
		if err != nil {
			return err
		}
		m.policies.Identity = append(m.policies.Identity, d)
	}
	if h.boundary == nil {
		return nil
	}
	d, err := m.compile(*h.boundary, policy.IdentityPolicy)
	m.policies.Boundary = d
	return err
}

// simulate completes a simulation by what the request brings, and runs it.
func (s *Service) simulate(ctx context.Context, m *simulation, in *iamapi.SimulateCustomPolicyRequest) (*iamapi.SimulatePolicyResponse, error) {
	for _, step := range []func() error{
		func() error { return s.setCaller(ctx, m, wire.Value(in.CallerArn)) },
		func() error { return m.addDocuments(in) },
		func() error { return m.addContext(in.ContextEntries) },
		func() error { return checkSimulated(in.ActionNames, in.ResourceArns, in.ResourceHandlingOption) },
		func() error { return m.setOwner(in.ResourceOwner) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	type item struct{ place, action string }
	actions := make([]item, len(in.ActionNames))
	for i, a := range in.ActionNames {
		actions[i] = item{fmt.Sprintf("%06d", i), a}
	}
	list, err := fingerprint(in)
	if err != nil {
		return nil, err
	}
	some, marker, truncated, err := page(s, "simulation/"+list, actions, func(i *item) string { return i.place }, in.Marker, in.MaxItems)
	if err != nil {
		return nil, invalidInput("Invalid Marker.")
	}
	out := &iamapi.SimulatePolicyResponse{EvaluationResults: []iamapi.EvaluationResult{}, Marker: marker, IsTruncated: truncated}
	for _, a := range some {
		out.EvaluationResults = append(out.EvaluationResults, m.evaluate(a.action, in.ResourceArns))
	}
	return out, nil
}

// fingerprint binds a marker to the question that it continues.
func fingerprint(in *iamapi.SimulateCustomPolicyRequest) (string, error) {
	q := *in
	q.Marker, q.MaxItems = nil, nil
	text, err := json.Marshal(q)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12]), err
}

// setCaller puts a user in the place of who asks. It need not exist: what is
// known of one that does counts.
func (s *Service) setCaller(ctx context.Context, m *simulation, caller string) error {
	if caller == "" {
		return nil
	}
	a, err := arn.Parse(caller)
	if err != nil || a.Service != "iam" || a.Type() != "user" || a.Name() == "" || !accountNumber.MatchString(a.Account) {
		return invalidInput("Invalid Caller Arn: %s is not the ARN of an IAM user.", caller)
	}
	m.principal = policy.Principal{Kind: policy.PrincipalUser, ARN: caller, Account: a.Account, Context: policy.Context{}}
	if a.Account != s.cfg.Account {
		return nil
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		h, err := s.grantee(tx, caller)
		if err == nil {
			m.principal = s.principal(&h, simulatedSession)
		}
		return err
	})
	var missing *iamapi.NoSuchEntityException
	if errors.As(err, &missing) {
		return nil
	}
	return err
}

var accountNumber = lazyregexp.New(`^[0-9]{12}$`)

// addDocuments adds the policies that the request itself brings.
func (m *simulation) addDocuments(in *iamapi.SimulateCustomPolicyRequest) error {
	for i, text := range in.PolicyInputList {
		d, err := m.compile(source{name: "PolicyInputList." + strconv.Itoa(i+1), text: text}, policy.IdentityPolicy)
		if err != nil {
			return invalidInput("%s", err.Error())
		}
		m.policies.Identity = append(m.policies.Identity, d)
	}
	if n := len(in.PermissionsBoundaryPolicyInputList); n > 1 {
		return invalidInput("Only one permissions boundary policy can be simulated at a time.")
	} else if n == 1 {
		d, err := m.compile(source{name: "PermissionsBoundaryPolicyInputList.1", text: in.PermissionsBoundaryPolicyInputList[0]}, policy.IdentityPolicy)
		if err != nil {
			return invalidInput("%s", err.Error())
		}
		m.policies.Boundary = d
	}
	if in.ResourcePolicy == nil {
		return nil
	}
	use := policy.ResourcePolicy
	if slices.ContainsFunc(in.ActionNames, assumes) {
		use = policy.TrustPolicy
	}
	d, err := m.compile(source{name: "ResourcePolicy", text: *in.ResourcePolicy}, use)
	if err != nil {
		return invalidInput("%s", err.Error())
	}
	m.policies.Resource = d
	return nil
}

// setOwner says whose the resources are whose ARNs do not tell.
func (m *simulation) setOwner(owner *string) error {
	m.owner = m.principal.Account
	if owner == nil {
		return nil
	}
	a, err := arn.Parse(*owner)
	if err != nil || a.Service != "iam" || a.Resource != "root" || !accountNumber.MatchString(a.Account) {
		return invalidInput("'%s' is not a valid as a Resource Owner.", *owner)
	}
	m.owner = a.Account
	return nil
}

var (
	actionName      = lazyregexp.New(`^[A-Za-z0-9-]+:[A-Za-z0-9]+$`)
	handlingOptions = []string{"EC2-VPC-InstanceStore", "EC2-VPC-InstanceStore-Subnet", "EC2-VPC-EBS", "EC2-VPC-EBS-Subnet", "EC2-Classic-InstanceStore", "EC2-Classic-EBS"}
)

func checkSimulated(actions, resources []string, handling *string) error {
	for _, a := range actions {
		if !actionName.MatchString(a) {
			return invalidInput("Invalid Action Name: %s", a)
		}
	}
	for _, r := range resources {
		if _, err := arn.Parse(r); err != nil && r != "*" {
			return invalidInput("Invalid Resource Arn: %s", r)
		}
	}
	if handling != nil && !slices.Contains(handlingOptions, *handling) {
		return invalidInput("Invalid Resource Handling Option: %s", *handling)
	}
	return nil
}

// addContext sets condition keys. They outrank what is known of the principal,
// except for who it is.
func (m *simulation) addContext(entries []iamapi.ContextEntry) error {
	m.keys = policy.Context{}
	keys := policy.Context{}
	for k, v := range m.principal.Context {
		keys[k] = v
	}
	for _, e := range entries {
		name := wire.Value(e.ContextKeyName)
		if err := checkEntry(name, string(e.ContextKeyType), e.ContextKeyValues); err != nil {
			return err
		}
		m.keys.Set(name, e.ContextKeyValues...)
		if strings.HasPrefix(strings.ToLower(name), "aws:") {
			keys.Set(name, e.ContextKeyValues...)
		}
	}
	m.principal.Context = keys
	if m.principal.ARN == "" { // nobody in particular: the request says who
		for key, to := range map[string]*string{"aws:PrincipalArn": &m.principal.ARN, "aws:userid": &m.principal.ID} {
			if v := m.keys.Get(key); len(v) == 1 {
				*to = v[0]
			}
		}
	}
	return nil
}

// checkEntry checks the values of a condition key by their type.
func checkEntry(name, kind string, values []string) error {
	single, list := strings.CutSuffix(kind, "List")
	if name == "" || kind == "" || !list && len(values) != 1 {
		return invalidInput("Invalid Context Entry: %s needs a name, a type and, unless it is a list, exactly one value.", name)
	}
	for _, v := range values {
		var err error
		switch single {
		case "numeric":
			_, err = strconv.ParseFloat(v, 64)
		case "boolean":
			if v != "true" && v != "false" {
				err = errors.New("not a boolean")
			}
		case "ip":
			if _, err = netip.ParsePrefix(v); err != nil {
				_, err = netip.ParseAddr(v)
			}
		case "binary":
			_, err = base64.StdEncoding.DecodeString(v)
		case "date":
			if _, err = time.Parse(time.RFC3339, v); err != nil {
				_, err = strconv.ParseInt(v, 10, 64)
			}
		}
		if err != nil {
			return invalidInput("Invalid Context Entry: %s is not a valid %s value for %s.", v, single, name)
		}
	}
	return nil
}
