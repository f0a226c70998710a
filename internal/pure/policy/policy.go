// Package policy decides whether a request is allowed by IAM policies.
//
// It is pure: the decision depends only on the request and on the documents
// given to [Evaluate]. An explicit Deny wins, then an Allow; silence means Deny.
// Each decision names the policy and the statement that made it, so that an
// operator can be told why. The package stores nothing, knows no principal by
// itself and never looks anything up.
package policy

import (
	"slices"
	"strings"
)

// Kind says what sort of principal makes a request.
type Kind string

// The kinds of principal. The zero value is the anonymous one, to which only
// a resource policy for everyone applies.
const (
	PrincipalAnonymous   Kind = ""
	PrincipalRoot        Kind = "Root"
	PrincipalUser        Kind = "User"
	PrincipalAssumedRole Kind = "AssumedRole"
	// PrincipalFederatedUser is a session of GetFederationToken. It has the
	// policies and the boundary of the user behind it, and only so far as its
	// session policies allow: without any, nothing.
	PrincipalFederatedUser Kind = "FederatedUser"
	PrincipalService       Kind = "Service"
	// PrincipalFederated is a web or SAML identity before it assumes a role.
	PrincipalFederated Kind = "Federated"
)

// Principal is who makes a request.
type Principal struct {
	Kind Kind
	// ARN is arn:aws:iam::A:user/N, arn:aws:sts::A:assumed-role/R/S,
	// arn:aws:sts::A:federated-user/N or arn:aws:iam::A:root; empty for a
	// service, a web identity and nobody.
	ARN     string
	Account string
	// ID is the unique id: AIDA..., AROA...:session, A:name of a federated user,
	// or the account of a root.
	ID string
	// RoleARN is the role behind an assumed-role session, with its path.
	RoleARN string
	// UserARN and UserID are the user, or the root, behind the session of a
	// federated user.
	UserARN, UserID string
	// Service is the name of a service principal: apigateway.amazonaws.com.
	Service string
	// Federated is the provider of a web identity before it assumes a role:
	// cognito-identity.amazonaws.com or the ARN of an OpenID Connect provider.
	Federated string
	// Context holds the condition keys that the session brings with it.
	Context Context
}

// Context holds the condition keys of a request. Keys are lower-cased: use Set
// and Get, or write them in lower case.
type Context map[string][]string

// Set replaces the values of a key. Without values the key is removed.
func (c Context) Set(key string, values ...string) {
	if key = strings.ToLower(key); len(values) == 0 {
		delete(c, key)
		return
	}
	c[key] = values
}

// Add adds a value to those of a key, unless it is there already.
func (c Context) Add(key, value string) {
	if key = strings.ToLower(key); !slices.Contains(c[key], value) {
		c[key] = append(slices.Clone(c[key]), value)
	}
}

// Get returns the values of a key, nil when it is absent.
func (c Context) Get(key string) []string { return c[strings.ToLower(key)] }

// Request is one question: may Principal do Action to Resource, now.
type Request struct {
	Principal Principal
	// Action is service:Operation; letter case does not matter.
	Action string
	// Resource is an ARN, or "*" for an action that has no resource.
	Resource string
	// Account owns the resource. Empty means the principal's own account.
	Account string
	// Context holds the keys of the request; those of the principal outrank them.
	Context Context
}

// Policies are the documents that have a say in one request.
type Policies struct {
	// Identity policies of the user and its groups, or of the role.
	Identity []*Document
	// Resource is the policy of the resource, or nil.
	Resource *Document
	// Boundary is the permissions boundary of the user or role, or nil.
	Boundary *Document
	// Session policies given when the session was made: together they limit
	// it. An empty list is no limit.
	Session []*Document
	// Guardrails limit the whole account. An empty list is no limit.
	Guardrails []*Document
}

// Decision is the answer. The zero value refuses.
type Decision struct {
	Allowed bool
	// Explicit is true for a refusal by a Deny statement.
	Explicit bool
	// Policy and Statement name what decided; empty for an implicit refusal.
	Policy, Statement string
	// Kind says which kind of policy decided, or, for an implicit refusal,
	// which kind had to allow and did not: [KindIdentity] and its like.
	Kind string
	// Reason is one sentence for operators, never for callers.
	Reason string
	// Condition is, for an implicit refusal, the condition that alone kept the
	// first statement from allowing: operator and key as written.
	Condition string
	// Missing lists condition keys, as written, that such statements asked for
	// and the request did not have. It is only filled for an implicit refusal.
	Missing []string
	// Considered is how each statement was judged. [Evaluate] leaves it empty; who
	// asked fills it for refusals, with [Explain].
	Considered []Verdict
}
