package userpool

import (
	"context"
	"strings"
)

const (
	codeParameter     = "{####}"
	linkParameter     = "{##Click Here##}"
	usernameParameter = "{username}"
)

type customMessageRequest struct {
	UserAttributes    map[string]string `json:"userAttributes"`
	CodeParameter     string            `json:"codeParameter"`
	LinkParameter     string            `json:"linkParameter"`
	UsernameParameter *string           `json:"usernameParameter"`
	ClientMetadata    map[string]string `json:"clientMetadata,omitempty"`
}

type customMessageResponse struct {
	SMS     *string `json:"smsMessage"`
	Email   *string `json:"emailMessage"`
	Subject *string `json:"emailSubject"`
}

// customise lets the pool's function word a message. Its text must have a place for the
// code, or nobody could use it: without one the pool's own words stand.
func (s *Service) customise(ctx context.Context, p *Pool, u *User, m *Message, on occasion) error {
	function := deref(p.lambda().CustomMessage)
	if function == "" {
		return nil
	}
	request := customMessageRequest{UserAttributes: eventAttributes(u), CodeParameter: codeParameter, LinkParameter: linkParameter, ClientMetadata: on.metadata}
	username, secret := u.Name, m.Code
	if m.Kind == MessageInvitation {
		name := usernameParameter
		request.UsernameParameter = &name
		secret = m.Password
		if len(p.UsernameAttributes) > 0 {
			username = m.Destination
		}
	}
	var r customMessageResponse
	if err := s.fire(ctx, p, call{name: "CustomMessage", source: m.Kind, function: function, user: u.Name, on: on, request: request, response: &r}); err != nil {
		return err
	}
	text := deref(r.SMS)
	if m.Medium == MediumEmail {
		text = deref(r.Email)
		if subject := deref(r.Subject); subject != "" {
			m.Subject = subject
		}
	}
	if m.Link != "" && linkShape.MatchString(text) {
		m.Body = fill(m.Medium, fillLink(text, m.Link), username, secret)
	} else if strings.Contains(text, codeParameter) {
		m.Body = fill(m.Medium, text, username, secret)
	}
	return nil
}
