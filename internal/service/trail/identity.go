package trail

import (
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// Identity is who made a request (CloudTrail User Guide, "CloudTrail userIdentity element").
type Identity struct {
	Type             string          `json:"type,omitempty"`
	PrincipalID      string          `json:"principalId,omitempty"`
	ARN              string          `json:"arn,omitempty"`
	AccountID        string          `json:"accountId,omitempty"`
	AccessKeyID      string          `json:"accessKeyId,omitempty"`
	UserName         string          `json:"userName,omitempty"`
	SessionContext   *SessionContext `json:"sessionContext,omitempty"`
	InvokedBy        string          `json:"invokedBy,omitempty"`
	IdentityProvider string          `json:"identityProvider,omitempty"`
}

// SessionContext tells of temporary credentials.
type SessionContext struct {
	SessionIssuer  *SessionIssuer    `json:"sessionIssuer,omitempty"`
	Attributes     map[string]string `json:"attributes"`
	SourceIdentity string            `json:"sourceIdentity,omitempty"`
}

// SessionIssuer is the role behind a session.
type SessionIssuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	UserName    string `json:"userName"`
}

// Principal is the ARN under which an identity's policies stand: the role of a session.
func (i *Identity) Principal() string {
	if i.SessionContext != nil && i.SessionContext.SessionIssuer != nil {
		return i.SessionContext.SessionIssuer.ARN
	}
	return i.ARN
}

// Username is what LookupEvents calls an identity: the user's name, or the name of the session.
func (i *Identity) Username() string {
	switch {
	case i.UserName != "":
		return i.UserName
	case i.Type == "Root":
		return "root"
	case i.Type == "AssumedRole" || i.Type == "FederatedUser":
		return i.ARN[strings.LastIndexByte(i.ARN, '/')+1:]
	}
	return i.PrincipalID
}

func identityOf(r *wire.Record, account string) Identity {
	who := &r.Caller
	id := Identity{PrincipalID: who.ID, ARN: who.ARN, AccountID: who.Account, AccessKeyID: r.AccessKey, InvokedBy: r.Via}
	switch who.Kind {
	case policy.PrincipalRoot:
		id.Type = "Root"
	case policy.PrincipalUser:
		id.Type, id.UserName = "IAMUser", lastOf(who.ARN)
	case policy.PrincipalAssumedRole:
		id.Type = "AssumedRole"
		roleID, _, _ := strings.Cut(who.ID, ":")
		id.SessionContext = &SessionContext{SessionIssuer: &SessionIssuer{
			Type: "Role", PrincipalID: roleID, ARN: who.RoleARN, AccountID: who.Account, UserName: lastOf(who.RoleARN),
		}}
	case policy.PrincipalService:
		return Identity{Type: "AWSService", InvokedBy: who.Service}
	case policy.PrincipalFederated:
		return Identity{Type: "WebIdentityUser", PrincipalID: who.Federated, IdentityProvider: who.Federated}
	case policy.PrincipalAnonymous:
		return nobody(r, account)
	default:
		id.Type = string(who.Kind) // FederatedUser
	}
	if issued := who.Context.Get("aws:tokenissuetime"); len(issued) == 1 {
		if id.SessionContext == nil {
			id.SessionContext = &SessionContext{}
		}
		mfa := "false"
		if v := who.Context.Get("aws:multifactorauthpresent"); len(v) == 1 {
			mfa = v[0]
		}
		id.SessionContext.Attributes = map[string]string{"creationDate": issued[0], "mfaAuthenticated": mfa}
		if v := who.Context.Get("aws:sourceidentity"); len(v) == 1 {
			id.SessionContext.SourceIdentity = v[0]
		}
	}
	return id
}

// nobody is who sent a request without a signature that holds. Of a token that was believed, the
// answer says whose it is.
func nobody(r *wire.Record, account string) Identity {
	if out, ok := r.Output.(*stsapi.AssumeRoleWithWebIdentityResponse); ok && out != nil {
		p, sub := wire.Value(out.Provider), wire.Value(out.SubjectFromWebIdentityToken)
		return Identity{Type: "WebIdentityUser", PrincipalID: p + ":" + wire.Value(out.Audience) + ":" + sub, UserName: sub, IdentityProvider: p}
	}
	switch {
	case r.Kind == wire.KindOAuth:
		return Identity{AccountID: account, PrincipalID: r.Who}
	case r.Who != "":
		return Identity{Type: "Unknown", PrincipalID: r.Who, AccessKeyID: r.AccessKey}
	}
	return Identity{Type: "Unknown", PrincipalID: "Anonymous", AccessKeyID: r.AccessKey}
}

func lastOf(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
