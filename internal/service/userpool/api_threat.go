package userpool

import (
	"context"
	"errors"
	"time"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

const sealFeedback = "userpool feedback"

// feedbackLife is how long a user can say whether it was him.
const feedbackLife = 7 * 24 * time.Hour

// protected reads a pool that has threat protection.
func (s *Service) protected(ctx context.Context, tx *store.Tx, poolID string) (Pool, error) {
	p, err := s.poolHere(ctx, tx, poolID)
	if err == nil && (p.Settings.AddOns == nil || p.Settings.AddOns.AdvancedSecurityMode == api.AdvancedSecurityModeTypeOFF) {
		err = refuse(addOnNotEnabled, "Threat protection is not enabled for the user pool.")
	}
	return p, err
}

// SetRiskConfiguration replaces what a pool, or one of its clients, does about risks.
// What the request leaves out is done no more; one that leaves out everything deletes the
// configuration, so that a client has its pool's again.
func (s *Service) SetRiskConfiguration(ctx context.Context, in *api.SetRiskConfigurationRequest) (*api.SetRiskConfigurationResponse, error) {
	if err := checkRisk(in); err != nil {
		return nil, exception(err)
	}
	c := RiskConfiguration{
		Pool: in.UserPoolId, Client: deref(in.ClientId), ModifiedAt: s.time(),
		Compromised: in.CompromisedCredentialsRiskConfiguration, Takeover: in.AccountTakeoverRiskConfiguration, Exceptions: in.RiskExceptionConfiguration,
	}
	err := s.update(ctx, func(tx *store.Tx) error {
		if err := s.riskOwner(ctx, tx, in.UserPoolId, in.ClientId); err != nil {
			return err
		}
		if c.Compromised == nil && c.Takeover == nil && c.Exceptions == nil {
			if err := s.tables.risks.Delete(tx, c.Pool, c.Client); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return nil
		}
		return s.tables.risks.Put(tx, c)
	})
	if err != nil {
		return nil, err
	}
	return &api.SetRiskConfigurationResponse{RiskConfiguration: describeRisk(&c, in.ClientId)}, nil
}

// riskOwner checks that a pool is there and protected, and that a client is its own.
func (s *Service) riskOwner(ctx context.Context, tx *store.Tx, poolID string, clientID *string) error {
	if _, err := s.protected(ctx, tx, poolID); err != nil || clientID == nil {
		return err
	}
	_, err := s.clientHere(ctx, tx, poolID, *clientID)
	return err
}

func checkRisk(in *api.SetRiskConfigurationRequest) error {
	if e := in.RiskExceptionConfiguration; e != nil {
		for _, list := range [][]string{e.BlockedIPRangeList, e.SkippedIPRangeList} {
			for _, r := range list {
				if _, err := parseRange(r); err != nil {
					return refuse(invalidParameter, "Invalid IP range: "+r)
				}
			}
		}
	}
	t := in.AccountTakeoverRiskConfiguration
	if t == nil || t.Actions == nil {
		return nil
	}
	for _, a := range []*api.AccountTakeoverActionType{t.Actions.LowAction, t.Actions.MediumAction, t.Actions.HighAction} {
		if a != nil && a.Notify && t.NotifyConfiguration == nil {
			return refuse(invalidParameter, "NotifyConfiguration is required when Notify is true.")
		}
	}
	return nil
}

// DescribeRiskConfiguration shows what applies to a pool, or to a client: a client that
// has no configuration of its own has the pool's.
func (s *Service) DescribeRiskConfiguration(ctx context.Context, in *api.DescribeRiskConfigurationRequest) (*api.DescribeRiskConfigurationResponse, error) {
	var c RiskConfiguration
	err := s.view(ctx, func(tx *store.Tx) (err error) {
		if err := s.riskOwner(ctx, tx, in.UserPoolId, in.ClientId); err != nil {
			return err
		}
		c, err = s.riskConfiguration(tx, in.UserPoolId, deref(in.ClientId))
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.DescribeRiskConfigurationResponse{RiskConfiguration: describeRisk(&c, in.ClientId)}, nil
}

func describeRisk(c *RiskConfiguration, clientID *string) *api.RiskConfigurationType {
	out := &api.RiskConfigurationType{
		UserPoolId: &c.Pool, ClientId: clientID, AccountTakeoverRiskConfiguration: c.Takeover,
		CompromisedCredentialsRiskConfiguration: c.Compromised, RiskExceptionConfiguration: c.Exceptions,
	}
	if !c.ModifiedAt.IsZero() {
		out.LastModifiedDate = &c.ModifiedAt
	}
	return out
}

// AdminListUserAuthEvents lists what happened to a user, newest first.
func (s *Service) AdminListUserAuthEvents(ctx context.Context, in *api.AdminListUserAuthEventsRequest) (*api.AdminListUserAuthEventsResponse, error) {
	limit := limitOf(in.MaxResults)
	var list []AuthEvent
	var scope []string
	err := s.view(ctx, func(tx *store.Tx) error {
		if _, err := s.protected(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		scope = []string{"auth events", u.Pool, u.Key, u.Sub}
		after, err := s.openPage(in.NextToken, scope)
		if err != nil {
			return err
		}
		list, err = s.tables.authEvents.List(tx, store.Query{Prefix: []string{u.Pool, u.Key}, After: after, Reverse: true, Limit: limit + 1})
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &api.AdminListUserAuthEventsResponse{AuthEvents: []api.AuthEventType{}}
	list, out.NextToken, err = nextPage(s, list, limit, scope, func(e *AuthEvent) []string { return []string{e.Pool, e.User, e.ID} })
	for _, e := range list {
		out.AuthEvents = append(out.AuthEvents, e.describe())
	}
	return out, err
}

// describe leaves out city and country: where an address lies is not known here.
func (e *AuthEvent) describe() api.AuthEventType {
	out := api.AuthEventType{
		EventId: &e.ID, CreationDate: &e.At, EventType: api.EventType(e.Type), EventResponse: api.EventResponseType(e.Response),
		EventRisk:          &api.EventRiskType{RiskDecision: api.RiskDecisionType(e.Decision), RiskLevel: api.RiskLevelType(e.Level), CompromisedCredentialsDetected: &e.Leaked},
		EventContextData:   &api.EventContextDataType{},
		ChallengeResponses: []api.ChallengeResponseType{},
	}
	if e.Address != "" {
		out.EventContextData.IpAddress = &e.Address
	}
	if e.Agent != "" {
		out.EventContextData.DeviceName = &e.Agent
	}
	for _, step := range e.Steps {
		out.ChallengeResponses = append(out.ChallengeResponses, api.ChallengeResponseType{ChallengeName: api.ChallengeName(step.Name), ChallengeResponse: api.ChallengeResponse(step.Result)})
	}
	if e.Feedback != "" {
		out.EventFeedback = &api.EventFeedbackType{FeedbackValue: api.FeedbackValueType(e.Feedback), Provider: e.FeedbackBy, FeedbackDate: &e.FeedbackAt}
	}
	return out
}

// AdminUpdateAuthEventFeedback says of an event whether it was the user. What was not
// is no sign-in that later ones are compared with.
func (s *Service) AdminUpdateAuthEventFeedback(ctx context.Context, in *api.AdminUpdateAuthEventFeedbackRequest) (*api.AdminUpdateAuthEventFeedbackResponse, error) {
	err := s.update(ctx, func(tx *store.Tx) error {
		if _, err := s.protected(ctx, tx, in.UserPoolId); err != nil {
			return err
		}
		_, u, err := s.userHere(ctx, tx, in.UserPoolId, in.Username)
		if err != nil {
			return err
		}
		return s.feedback(tx, &u, in.EventId, in.FeedbackValue, "Admin")
	})
	if err != nil {
		return nil, err
	}
	return &api.AdminUpdateAuthEventFeedbackResponse{}, nil
}

func (s *Service) feedback(tx *store.Tx, u *User, id string, value api.FeedbackValueType, by string) error {
	e, err := s.tables.authEvents.Get(tx, u.Pool, u.Key, id)
	if err != nil {
		return missing(err, notFound, "The event does not exist.")
	}
	e.Feedback, e.FeedbackBy, e.FeedbackAt = string(value), by, s.time()
	return s.tables.authEvents.Put(tx, e)
}

// feedbackToken lets the user who was told of an event answer, once he got the message.
type feedbackToken struct {
	Pool, User, Event string
	ExpiresAt         time.Time
}

// UpdateAuthEventFeedback is AdminUpdateAuthEventFeedback for the user himself, with the
// token from the message that told him.
func (s *Service) UpdateAuthEventFeedback(ctx context.Context, in *api.UpdateAuthEventFeedbackRequest) (*api.UpdateAuthEventFeedbackResponse, error) {
	invalid := refuse(notAuthorized, "Invalid feedback token.")
	var token feedbackToken
	if !s.unsealJSON(sealFeedback, in.FeedbackToken, &token) || token.Pool != in.UserPoolId || token.Event != in.EventId || !s.time().Before(token.ExpiresAt) {
		return nil, exception(invalid)
	}
	err := s.update(ctx, func(tx *store.Tx) error {
		p, err := s.protected(ctx, tx, in.UserPoolId)
		if err != nil {
			return err
		}
		u, err := s.findUser(tx, &p, in.Username)
		if err != nil {
			return missing(err, notAuthorized, invalid.Error())
		}
		if u.Key != token.User {
			return invalid
		}
		return s.feedback(tx, &u, in.EventId, in.FeedbackValue, "User")
	})
	if err != nil {
		return nil, err
	}
	return &api.UpdateAuthEventFeedbackResponse{}, nil
}

// GetSigningCertificate would answer with the certificate by which the pool signs SAML
// requests; it signs none.
func (s *Service) GetSigningCertificate(ctx context.Context, in *api.GetSigningCertificateRequest) (*api.GetSigningCertificateResponse, error) {
	err := s.view(ctx, func(tx *store.Tx) error { _, err := s.poolHere(ctx, tx, in.UserPoolId); return err })
	if err != nil {
		return nil, err
	}
	return nil, notImplemented("GetSigningCertificate", "there is no federation yet, and so no SAML request that would be signed.")
}
