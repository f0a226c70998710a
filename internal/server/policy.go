package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"moat/internal/pure/arn"
	"moat/internal/pure/policy"
	"moat/internal/service/iam"
	"moat/internal/wire"
	"moat/internal/wire/apigatewayapi"
	"moat/internal/wire/iamapi"
	"moat/internal/wire/lambdaapi"
)

// PolicyQuestion is what `moat policy can` and `moat policy who-can` ask. Without Principal it asks
// who can; without Action, what a principal may do at all.
type PolicyQuestion struct {
	Principal string `json:"principal,omitempty"`
	Action    string `json:"action,omitempty"`
	Resource  string `json:"resource,omitempty"`
}

// PolicyAnswer is the answer to one of the three.
type PolicyAnswer struct {
	Principal string          `json:"principal,omitempty"`
	Action    string          `json:"action,omitempty"`
	Resource  string          `json:"resource,omitempty"`
	Answer    *iam.Answer     `json:"answer,omitempty"`
	Who       []iam.Answer    `json:"who,omitempty"`
	May       []iam.Allowance `json:"may,omitempty"`
}

const maxQuestion = 64 << 10

// askPolicies serves POST /_moat/policy: a signed question of a caller who may simulate the
// policies of the principal it asks about, or of all.
func (s *Server) askPolicies(w http.ResponseWriter, r *http.Request) {
	const operation = "AskPolicies"
	call, body, ok := s.take(w, r, question{http.MethodPost, operation, maxQuestion})
	if !ok {
		return
	}
	var q PolicyQuestion
	if err := json.Unmarshal(body, &q); err != nil || q.Principal == "" && (q.Action == "" || q.Resource == "") {
		answerMessage(w, http.StatusBadRequest, "this is not a question: it needs a principal, or an action and a resource")
		return
	}
	status, answer := s.answerPolicy(r.Context(), call, q)
	if refused, ok := answer.(refusedQuestion); ok {
		s.refuse(w, r, operation, call, "authorise", string(refused))
		return
	}
	answerJSON(w, status, answer)
}

// refusedQuestion is why a caller may not ask.
type refusedQuestion string

// answerPolicy authorises and answers.
func (s *Server) answerPolicy(ctx context.Context, call *wire.Call, q PolicyQuestion) (int, any) {
	about, asked := "*", "*"
	var err error
	if q.Principal != "" {
		asked = q.Principal[:min(len(q.Principal), 2048)]
		q.Principal, err = s.parts.iam.FindPrincipal(ctx, q.Principal)
		about = q.Principal
	}
	if err != nil {
		about = "*"
	}
	// Who may not ask is not told who exists, either: the refusal repeats the question.
	if !s.maySimulate(ctx, call, about) {
		return http.StatusForbidden, refusedQuestion("User: " + call.Caller.ARN + " is not authorized to perform: " + simulatePrincipal + " on resource: " + asked)
	}
	out := PolicyAnswer{Principal: q.Principal, Action: q.Action, Resource: q.Resource}
	if err == nil {
		err = s.fillAnswer(ctx, call, &out)
	}
	if err != nil {
		return s.noAnswer(err)
	}
	return http.StatusOK, out
}

// noAnswer is what a question about a principal is told that cannot be answered.
func (s *Server) noAnswer(err error) (int, any) {
	var unknown *iam.ErrNoPrincipal
	if errors.As(err, &unknown) {
		return http.StatusNotFound, map[string]string{"message": unknown.Error()}
	}
	s.cfg.Log.Error("policy question", "error", err)
	return http.StatusInternalServerError, map[string]string{"message": "the policies cannot be read; see the log"}
}

func (s *Server) fillAnswer(ctx context.Context, call *wire.Call, out *PolicyAnswer) (err error) {
	if out.Action == "" {
		out.May, err = s.parts.iam.Allowances(ctx, out.Principal)
		return err
	}
	if out.Resource == "" {
		out.Resource = "*"
	}
	of, err := s.parts.resourcePolicy(ctx, out.Action, out.Resource)
	if err != nil {
		return err
	}
	if of != nil {
		of.Hidden = !s.mayRead(ctx, call, out.Resource)
	}
	if out.Principal == "" {
		out.Who, err = s.parts.iam.WhoCan(ctx, out.Action, out.Resource, of)
		return err
	}
	a, err := s.parts.iam.Can(ctx, out.Principal, out.Action, out.Resource, of)
	out.Answer = &a
	return err
}

// simulatePrincipal is what a caller must be allowed who asks about a principal.
const simulatePrincipal = "iam:SimulatePrincipalPolicy"

// maySimulate tells whether a caller may know what a principal may do. It asks as the call itself
// would: the principal's tags have their say.
func (s *Server) maySimulate(ctx context.Context, call *wire.Call, about string) bool {
	needs := []wire.Need{{Resource: about}}
	if about != "*" {
		needs = s.parts.iam.APIs()[0].Resources(call, "SimulatePrincipalPolicy", &iamapi.SimulatePrincipalPolicyRequest{PolicySourceArn: about})
	}
	return s.hasAll(ctx, call, simulatePrincipal, needs)
}

// hasAll tells whether a caller has every permission that is needed.
func (s *Server) hasAll(ctx context.Context, call *wire.Call, action string, needs []wire.Need) bool {
	for i := range needs {
		n := &needs[i]
		keys := s.keysOf(call)
		for k, v := range n.Keys {
			keys.Set(k, v...)
		}
		asked := action
		if n.Action != "" {
			asked = n.Action
		}
		d, err := s.parts.iam.Authorize(ctx, call.Caller, asked, n.Resource, s.cfg.Account, keys)
		if err != nil || !d.Allowed {
			return false
		}
	}
	return true
}

// mayRead tells whether a caller may read the policy of a resource, as the call that
// gives it would be decided.
func (s *Server) mayRead(ctx context.Context, call *wire.Call, resource string) bool {
	a, err := arn.Parse(resource)
	if err != nil {
		return false
	}
	there := *call
	if a.Region != "" {
		there.Region = a.Region
	}
	var api *wire.API
	var operation string
	var in any
	switch {
	case a.Service == "lambda":
		api, operation, in = s.parts.function.APIs()[0], "GetPolicy", &lambdaapi.GetPolicyRequest{FunctionName: resource}
	case a.Service == "execute-api":
		id, _, _ := strings.Cut(a.Resource, "/")
		there.Resource = "arn:aws:apigateway:" + there.Region + "::/restapis/" + id
		api, operation, in = s.parts.restapi.APIs()[0], "GetRestApi", &apigatewayapi.GetRestApiRequest{RestApiId: id}
	case a.Service == "iam" && a.Type() == "role":
		api, operation, in = s.parts.iam.APIs()[0], "GetRole", &iamapi.GetRoleRequest{RoleName: a.Name()}
	default:
		return false
	}
	needs := api.Resources(&there, operation, in)
	if len(needs) == 0 {
		needs = []wire.Need{{Resource: there.Resource}}
	}
	return s.hasAll(ctx, &there, api.ByName()[operation].Action, needs)
}

// resourcePolicy finds the policy of a function or an API that a question is about; nil when
// there is none. A role's is found by package iam.
func (p *parts) resourcePolicy(ctx context.Context, action, resource string) (*iam.ResourcePolicy, error) {
	a, err := arn.Parse(resource)
	if err != nil {
		return nil, nil
	}
	ctx = wire.WithCall(ctx, &wire.Call{Account: a.Account, Region: a.Region})
	var text *string
	of := &iam.ResourcePolicy{}
	switch {
	case a.Service == "iam" && a.Type() == "role":
		return of, nil
	case a.Service == "lambda" && strings.HasPrefix(a.Resource, "function:"):
		of.Name = "policy of the function"
		out, e := p.function.GetPolicy(ctx, &lambdaapi.GetPolicyRequest{FunctionName: resource})
		if err = e; err == nil {
			text = out.Policy
		}
	case a.Service == "execute-api":
		id, _, _ := strings.Cut(a.Resource, "/")
		of.Name = "policy of the API"
		of.Options = []policy.Option{policy.ShortResource("execute-api:/", "arn:aws:execute-api:*:*:*/")}
		out, e := p.restapi.GetRestApi(ctx, &apigatewayapi.GetRestApiRequest{RestApiId: id})
		if err = e; err == nil {
			text = out.Policy
		}
	}
	var missing wire.Exception
	if errors.As(err, &missing) && missing.HTTPStatus() == http.StatusNotFound {
		return nil, nil
	}
	if err != nil || wire.Value(text) == "" {
		return nil, err
	}
	of.Text = *text
	return of, nil
}
