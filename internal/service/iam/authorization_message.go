package iam

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"log/slog"

	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// messagePurpose is authenticated with each authorization message.
const messagePurpose = "sts/authorization-message"

// maxMessage is the longest message that DecodeAuthorizationMessage takes (STS
// API reference).
const maxMessage = 10240

// authorizationMessage is the form of a decoded message: that of EC2's, the
// service whose messages AWS documents.
type authorizationMessage struct {
	Allowed           bool                    `json:"allowed"`
	ExplicitDeny      bool                    `json:"explicitDeny"`
	MatchedStatements items[messageStatement] `json:"matchedStatements"`
	Failures          items[messageFailure]   `json:"failures"`
	Context           messageContext          `json:"context"`
}

type items[T any] struct {
	Items []T `json:"items"`
}

type messageStatement struct {
	StatementID    string `json:"statementId"`
	Effect         string `json:"effect"`
	SourcePolicyID string `json:"sourcePolicyId"`
	SourceType     string `json:"sourcePolicyType"`
}

// messageFailure names a condition key that a statement asked for in vain.
type messageFailure struct {
	Key string `json:"key"`
}

type messageContext struct {
	Principal struct {
		ID   string `json:"id"`
		Name string `json:"name,omitempty"`
		ARN  string `json:"arn"`
	} `json:"principal"`
	Action     string                  `json:"action"`
	Resource   string                  `json:"resource"`
	Conditions items[messageCondition] `json:"conditions"`
}

type messageCondition struct {
	Key    string              `json:"key"`
	Values items[messageValue] `json:"values"`
}

type messageValue struct {
	Value string `json:"value"`
}

// EncodeRefusal seals why a call was refused, so that its caller can hand it to
// somebody who may decode it. Of a refusal that is too long the conditions are
// left out. "" when it cannot be sealed.
func (s *Service) EncodeRefusal(r wire.Refused) string {
	m := authorizationMessage{ExplicitDeny: r.Decision.Explicit, MatchedStatements: items[messageStatement]{[]messageStatement{}}, Failures: items[messageFailure]{[]messageFailure{}}}
	if r.Decision.Explicit {
		m.MatchedStatements.Items = append(m.MatchedStatements.Items, messageStatement{r.Decision.Statement, "DENY", r.Decision.Policy, r.Decision.Kind})
	}
	for _, key := range r.Decision.Missing {
		m.Failures.Items = append(m.Failures.Items, messageFailure{key})
	}
	c := &m.Context
	c.Action, c.Resource, c.Principal.ID, c.Principal.ARN = r.Action, r.Resource, r.Caller.ID, r.Caller.ARN
	if name := r.Caller.Context.Get("aws:username"); len(name) == 1 {
		c.Principal.Name = name[0]
	}
	c.Conditions.Items = []messageCondition{}
	for _, key := range sortedKeys(r.Keys) {
		if key == "" || key[0] == 0 { // ours
			continue
		}
		cond := messageCondition{Key: key}
		for _, v := range r.Keys[key] {
			cond.Values.Items = append(cond.Values.Items, messageValue{v})
		}
		c.Conditions.Items = append(c.Conditions.Items, cond)
	}
	text := s.sealMessage(&m)
	if len(text) > maxMessage {
		c.Conditions.Items = []messageCondition{}
		text = s.sealMessage(&m)
	}
	if len(text) > maxMessage {
		return ""
	}
	return text
}

func (s *Service) sealMessage(m *authorizationMessage) string {
	plain, err := json.Marshal(m)
	if err == nil {
		var sealed []byte
		if sealed, err = s.db.Seal(messagePurpose, plain); err == nil {
			return base64.RawURLEncoding.EncodeToString(sealed)
		}
	}
	s.cfg.Log.Error("an authorization message could not be encoded", slog.Any("cause", err))
	return ""
}

// DecodeAuthorizationMessage implements stsapi.Service.
func (s *sts) DecodeAuthorizationMessage(_ context.Context, in *stsapi.DecodeAuthorizationMessageRequest) (*stsapi.DecodeAuthorizationMessageResponse, error) {
	invalid := &stsapi.InvalidAuthorizationMessageException{Message: "Message is not valid"}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(in.EncodedMessage)
	if err != nil || len(in.EncodedMessage) > maxMessage || base64.RawURLEncoding.EncodeToString(sealed) != in.EncodedMessage {
		return nil, invalid
	}
	plain, err := s.db.Unseal(messagePurpose, sealed)
	if err != nil {
		return nil, invalid
	}
	text := string(plain)
	return &stsapi.DecodeAuthorizationMessageResponse{DecodedMessage: &text}, nil
}
