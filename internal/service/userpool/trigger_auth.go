package userpool

import "context"

type preAuthenticationRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ValidationData map[string]string `json:"validationData"`
	UserNotFound   bool              `json:"userNotFound,omitempty"`
}

// preAuthentication lets the pool's function refuse a sign-in before anything is proven.
// It hears of an unknown user, too, where the client must not learn who exists.
func (s *Service) preAuthentication(ctx context.Context, st *step, u *User, known bool) error {
	function := deref(st.pool.lambda().PreAuthentication)
	if function == "" {
		return nil
	}
	request := preAuthenticationRequest{ValidationData: st.on.validation, UserNotFound: !known}
	if known {
		request.UserAttributes = eventAttributes(u)
	}
	return s.fire(ctx, &st.pool, call{
		name: "PreAuthentication", source: "Authentication", function: function, user: u.Name, on: st.on, request: request, response: &struct{}{},
	})
}

type postAuthenticationRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	NewDeviceUsed  bool              `json:"newDeviceUsed"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

// postAuthentication tells the pool's function of a whole sign-in, before the tokens
// leave: when it fails they do not.
func (s *Service) postAuthentication(ctx context.Context, st *step, u *User, newDevice bool) error {
	function := deref(st.pool.lambda().PostAuthentication)
	if function == "" {
		return nil
	}
	return s.fire(ctx, &st.pool, call{
		name: "PostAuthentication", source: "Authentication", function: function, user: u.Name, on: st.on,
		request: postAuthenticationRequest{UserAttributes: eventAttributes(u), NewDeviceUsed: newDevice, ClientMetadata: st.on.metadata}, response: &struct{}{},
	})
}
