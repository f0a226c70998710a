package function

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// maxPolicy is Lambda's limit of a resource policy, in bytes.
const maxPolicy = 20480

var (
	serviceName = lazyregexp.New(`^[a-z0-9.-]+\.amazonaws\.com(\.cn)?$`)
	accountID   = lazyregexp.New(`^\d{12}$`)
	functionARN = lazyregexp.New(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[^:]+(:[^:]+)?$`)
	principalID = lazyregexp.New(`^arn:aws[a-z-]*:(iam|sts)::\d{12}:(root|user/.+|role/.+|assumed-role/.+)$`)
)

// document gives a resource policy as Lambda writes it.
func (p *Permissions) document() ([]byte, error) {
	return json.Marshal(struct {
		Version   string
		Id        string
		Statement []Statement
	}{"2012-10-17", "default", p.Statements})
}

// policy returns the resource policy of a function, a version or an alias, compiled;
// nil when it has none.
func (s *Service) policy(tx *store.Tx, ref reference) (*policy.Document, error) {
	qualifier := ref.qualifier
	if qualifier == latest { // it has no policy of its own
		qualifier = ""
	}
	p, err := s.tables.permissions.Get(tx, ref.account, ref.region, ref.name, qualifier)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	text, err := p.document()
	if err != nil {
		return nil, err
	}
	return policy.Parse("resource policy of "+ref.arn(), text)
}

// policyOf returns the policy of what a call acts on. Only functions have one, and only
// one that the call will find: of this account and this region.
func (s *Service) policyOf(ctx context.Context, c *wire.Call, resource string) (own *policy.Document, err error) {
	if !functionARN.MatchString(resource) {
		return nil, nil
	}
	ref, err := s.parseName(c, resource, nil)
	if err != nil {
		return nil, nil //nolint:nilerr // what cannot be found has no policy
	}
	s.mu.Lock()
	t := s.targets[ref.arn()]
	s.mu.Unlock()
	if t != nil {
		return t.policy, nil
	}
	err = s.db.View(ctx, func(tx *store.Tx) error {
		own, err = s.policy(tx, ref)
		return err
	})
	return own, err
}

// AddPermission lets somebody invoke a function, a version or an alias.
func (s *Service) AddPermission(ctx context.Context, in *lambdaapi.AddPermissionRequest) (*lambdaapi.AddPermissionResponse, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if ref.qualifier == latest {
		return nil, invalid("We currently do not support adding policies for $LATEST.")
	}
	st, err := statement(ref, in)
	if err != nil {
		return nil, err
	}
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if err := s.permissible(tx, ref); err != nil {
			return err
		}
		p, err := s.tables.permissions.Get(tx, ref.account, ref.region, ref.name, ref.qualifier)
		if errors.Is(err, store.ErrNotFound) {
			p, err = Permissions{Account: ref.account, Region: ref.region, Name: ref.name, Qualifier: ref.qualifier}, nil
		}
		if err != nil {
			return err
		}
		if err := p.revision(in.RevisionId); err != nil {
			return err
		}
		for _, other := range p.Statements {
			if other.Sid == st.Sid {
				return conflict("The statement id (" + st.Sid + ") provided already exists. Please provide a new statement id, or remove the existing statement.")
			}
		}
		p.Statements, p.RevisionID = append(p.Statements, st), id
		text, err := p.document()
		if err != nil {
			return err
		}
		if len(text) > maxPolicy {
			return &lambdaapi.PolicyLengthExceededException{Message: "The final policy size is bigger than the limit (20480).", Type: wire.String("User")}
		}
		return s.tables.permissions.Put(tx, p)
	})
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(st)
	if err != nil {
		return nil, err
	}
	return &lambdaapi.AddPermissionResponse{Statement: wire.String(string(text))}, nil
}

// statement words a permission, and makes sure that the policy engine understands it.
func statement(ref reference, in *lambdaapi.AddPermissionRequest) (Statement, error) {
	st := Statement{Sid: in.StatementId, Effect: "Allow", Action: in.Action, Resource: ref.arn(), Condition: map[string]map[string]string{}}
	bad := invalid("The provided principal was invalid. Please check the principal and try again.")
	switch p := in.Principal; {
	case p == "*":
		st.Principal = json.RawMessage(`"*"`)
	case serviceName.MatchString(p):
		st.Principal = principal("Service", p)
	case accountID.MatchString(p):
		st.Principal = principal("AWS", "arn:aws:iam::"+p+":root")
	case principalID.MatchString(p):
		st.Principal = principal("AWS", p)
	default:
		return st, bad
	}
	condition := func(operator, key string, value *string) {
		if wire.Value(value) == "" {
			return
		}
		if st.Condition[operator] == nil {
			st.Condition[operator] = map[string]string{}
		}
		st.Condition[operator][key] = *value
	}
	condition("StringEquals", "AWS:SourceAccount", in.SourceAccount)
	condition("StringEquals", "aws:PrincipalOrgID", in.PrincipalOrgID)
	condition("StringEquals", "lambda:EventSourceToken", in.EventSourceToken)
	if in.FunctionUrlAuthType != "" {
		condition("StringEquals", "lambda:FunctionUrlAuthType", (*string)(&in.FunctionUrlAuthType))
	}
	if wire.Value(in.InvokedViaFunctionUrl) {
		condition("Bool", "lambda:InvokedViaFunctionUrl", wire.String("true"))
	}
	condition("ArnLike", "AWS:SourceArn", in.SourceArn)
	text, err := (&Permissions{Statements: []Statement{st}}).document()
	if err != nil {
		return st, err
	}
	if _, err := policy.Parse("resource policy", text); err != nil {
		return st, invalid("The permission is invalid: " + err.Error())
	}
	return st, nil
}

func principal(kind, name string) json.RawMessage {
	b, err := json.Marshal(map[string]string{kind: name})
	if err != nil { // two strings always encode
		return json.RawMessage(`{}`)
	}
	return b
}

// permissible makes sure that what a permission is about exists.
func (s *Service) permissible(tx *store.Tx, ref reference) error {
	f, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name)
	if errors.Is(err, store.ErrNotFound) {
		return noFunction(ref.function())
	}
	if err != nil || ref.qualifier == "" {
		return err
	}
	if isNumber(ref.qualifier) {
		_, err = s.version(tx, &f, ref.qualifier)
		if errors.Is(err, store.ErrNotFound) {
			return noFunction(ref.arn())
		}
		return err
	}
	_, err = s.tables.aliases.Get(tx, ref.account, ref.region, ref.name, ref.qualifier)
	if errors.Is(err, store.ErrNotFound) {
		if strings.Contains(ref.qualifier, "$") { // no alias can have that name
			return noFunction(ref.arn())
		}
		return notFound("Cannot find alias arn: " + ref.arn())
	}
	return err
}

func (p *Permissions) revision(seen *string) error {
	if seen != nil && *seen != p.RevisionID {
		return precondition("The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id")
	}
	return nil
}

// RemovePermission takes a permission back.
func (s *Service) RemovePermission(ctx context.Context, in *lambdaapi.RemovePermissionRequest) (*lambdaapi.RemovePermissionOutput, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	id, err := s.newID()
	if err != nil {
		return nil, err
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		if _, err := s.tables.functions.Get(tx, ref.account, ref.region, ref.name); errors.Is(err, store.ErrNotFound) {
			return notFound("No policy found for: " + ref.arn())
		}
		if err := s.permissible(tx, ref); err != nil {
			return err
		}
		p, err := s.tables.permissions.Get(tx, ref.account, ref.region, ref.name, ref.qualifier)
		if errors.Is(err, store.ErrNotFound) {
			return notFound("No policy is associated with the given resource.")
		}
		if err != nil {
			return err
		}
		if err := p.revision(in.RevisionId); err != nil {
			return err
		}
		for i, st := range p.Statements {
			if st.Sid != in.StatementId {
				continue
			}
			p.Statements, p.RevisionID = append(p.Statements[:i:i], p.Statements[i+1:]...), id
			if len(p.Statements) == 0 {
				return s.tables.permissions.Delete(tx, ref.account, ref.region, ref.name, ref.qualifier)
			}
			return s.tables.permissions.Put(tx, p)
		}
		return notFound("Statement " + in.StatementId + " is not found in resource policy.")
	})
	if err != nil {
		return nil, err
	}
	return &lambdaapi.RemovePermissionOutput{}, nil
}

// GetPolicy gives the resource policy of a function, a version or an alias.
func (s *Service) GetPolicy(ctx context.Context, in *lambdaapi.GetPolicyRequest) (*lambdaapi.GetPolicyResponse, error) {
	ref, err := s.parseName(s.call(ctx), in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var p Permissions
	err = s.db.View(ctx, func(tx *store.Tx) error {
		p, err = s.tables.permissions.Get(tx, ref.account, ref.region, ref.name, ref.qualifier)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("The resource you requested does not exist.")
	}
	if err != nil {
		return nil, err
	}
	text, err := p.document()
	if err != nil {
		return nil, err
	}
	return &lambdaapi.GetPolicyResponse{Policy: wire.String(string(text)), RevisionId: &p.RevisionID}, nil
}
