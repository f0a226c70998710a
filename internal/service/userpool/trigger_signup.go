package userpool

import (
	"context"
	"errors"
	"slices"

	"moat/internal/store"
	api "moat/internal/wire/cognitoidpapi"
)

type preSignUpRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ValidationData map[string]string `json:"validationData"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

type preSignUpResponse struct {
	Confirm     bool `json:"autoConfirmUser"`
	VerifyEmail bool `json:"autoVerifyEmail"`
	VerifyPhone bool `json:"autoVerifyPhone"`
}

// preSignUp lets the pool's function refuse a new user, or vouch for him. What it says
// is confirmed counts only for self sign-up.
func (s *Service) preSignUp(ctx context.Context, p *Pool, u *User, source string, on occasion) error {
	function := deref(p.lambda().PreSignUp)
	if function == "" {
		return nil
	}
	err := s.db.View(ctx, func(tx *store.Tx) error { // not for a name that is taken
		_, err := s.tables.users.Get(tx, u.Pool, u.Key)
		if err == nil {
			return refuse(usernameExists, "User already exists")
		}
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	var verdict preSignUpResponse
	request := preSignUpRequest{eventAttributes(&User{Attributes: u.Attributes}), on.validation, on.metadata}
	delete(request.UserAttributes, "cognito:user_status")
	if err := s.fire(ctx, p, call{name: "PreSignUp", source: source, function: function, user: u.Name, on: on, request: request, response: &verdict}); err != nil {
		return err
	}
	if source == "SignUp" && verdict.Confirm {
		u.Status = string(api.UserStatusTypeCONFIRMED)
	}
	for name, vouched := range map[string]bool{loginEmail: verdict.VerifyEmail, loginPhone: verdict.VerifyPhone} {
		switch {
		case !vouched:
		case u.Attributes[name] == "":
			return refuse(invalidParameter, "Attribute "+name+" cannot be auto verified, since it is not provided.")
		default:
			u.Attributes[name+"_verified"] = "true"
		}
	}
	return nil
}

type postConfirmationRequest struct {
	UserAttributes map[string]string `json:"userAttributes"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

// postConfirmation tells the pool's function of a confirmed user. It comes after the
// commit: when it fails the caller is told, and the user stays confirmed, as on AWS.
func (s *Service) postConfirmation(ctx context.Context, p *Pool, u *User, source string, on occasion) error {
	function := deref(p.lambda().PostConfirmation)
	if function == "" {
		return nil
	}
	return s.fire(ctx, p, call{
		name: "PostConfirmation", source: source, function: function, user: u.Name, on: on,
		request: postConfirmationRequest{eventAttributes(u), on.metadata}, response: &struct{}{},
	})
}

type migrationRequest struct {
	Password       string            `json:"password,omitempty"`
	ValidationData map[string]string `json:"validationData,omitempty"`
	ClientMetadata map[string]string `json:"clientMetadata,omitempty"`
}

type migrationResponse struct {
	Attributes map[string]string `json:"userAttributes"`
	Status     string            `json:"finalUserStatus"`
	Action     string            `json:"messageAction"`
	Mediums    []string          `json:"desiredDeliveryMediums"`
	Force      bool              `json:"forceAliasCreation"`
	SMSMFA     bool              `json:"enableSMSMFA"`
}

// migrate asks the pool's function for somebody whom the pool does not know, and makes
// him a user when it does. password is empty when one has been forgotten. false: there
// is nobody, and the request goes on as if there was no trigger.
func (s *Service) migrate(ctx context.Context, p *Pool, name, password, source string, on occasion) (bool, error) {
	function := deref(p.lambda().UserMigration)
	if function == "" || !isName(name) { // a name that no user can have
		return false, nil
	}
	var found migrationResponse
	err := s.fire(ctx, p, call{
		name: "UserMigration", source: source, function: function, user: name, on: on,
		request: migrationRequest{password, on.validation, on.metadata}, response: &found,
	})
	if is(err, lambdaRefused) { // whoever the function does not know
		return false, nil
	}
	if err != nil || len(found.Attributes) == 0 {
		return false, err
	}
	u, err := s.migrated(p, name, &found)
	if err != nil {
		return false, err
	}
	if password == "" {
		u.Status = string(api.UserStatusTypeRESET_REQUIRED)
	} else {
		pw, err := s.newPassword(p.ID, u.Name, password)
		if err != nil {
			return false, err
		}
		u.setPassword(p, pw)
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error { return s.insertUser(tx, p, &u, found.Force) })
	if is(err, usernameExists) { // somebody else was quicker
		return true, nil
	}
	return err == nil, err
}

// migrated makes the record of a user whom a function describes.
func (s *Service) migrated(p *Pool, name string, found *migrationResponse) (User, error) {
	attributes := map[string]string{}
	for k, v := range found.Attributes {
		if k != "username" && k != "sub" && v != "" {
			attributes[k] = v
		}
	}
	u, err := s.newUser(p, name, attributes)
	if err != nil {
		return u, err
	}
	if err := p.checkNew(u.Attributes, false); err != nil {
		return u, err
	}
	u.Status = string(api.UserStatusTypeRESET_REQUIRED)
	if found.Status == string(api.UserStatusTypeCONFIRMED) {
		u.Status = found.Status
	}
	markUnverified(&u)
	if found.SMSMFA && u.Attributes[loginPhone] != "" && !slices.Contains(u.MFA.Enabled, mfaSMS) {
		u.MFA.Enabled = append(u.MFA.Enabled, mfaSMS)
	}
	return u, nil
}
