package iam

import (
	"context"
	"errors"

	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// AccountSettings are what holds for the whole account.
type AccountSettings struct {
	Account   string
	Alias     string          `json:",omitempty"`
	Passwords *PasswordPolicy `json:",omitempty"` // nil: AWS's default
}

// PasswordPolicy says what users' passwords must be.
type PasswordPolicy struct {
	MinLength                      int32
	Symbols, Numbers, Upper, Lower bool
	AllowChange                    bool  // users may change their own, whatever their policies say
	MaxAge                         int32 // days; 0: for ever
	Reuse                          int32 // how many of the last cannot be used again
	HardExpiry                     bool  // users cannot change a password that has expired
}

// minLength counts when a policy does not say.
const minLength = 6

func newSettingsTable() *store.Table[AccountSettings] {
	return store.NewTable(store.Schema[AccountSettings]{
		Name: "iam_account_settings", Key: []string{"account"}, Topic: topic,
		KeyOf: func(a *AccountSettings) []string { return []string{a.Account} },
	})
}

// settings returns those of the account; they are empty at first.
func (s *Service) settings(tx *store.Tx) (AccountSettings, error) {
	a, err := s.t.settings.Get(tx, s.cfg.Account)
	if errors.Is(err, store.ErrNotFound) {
		return AccountSettings{Account: s.cfg.Account}, nil
	}
	return a, err
}

func (s *Service) updateSettings(ctx context.Context, change func(*AccountSettings) error) error {
	return s.db.Update(ctx, func(tx *store.Tx) error {
		a, err := s.settings(tx)
		if err != nil {
			return err
		}
		if err := change(&a); err != nil {
			return err
		}
		return s.t.settings.Put(tx, a)
	})
}

// changeOwnPassword is what users may who are allowed to change their password by
// the account's policy (IAM user guide, permitting users to change their own
// passwords).
func changeOwnPassword(user string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ChangePassword","Resource":"` + user + `"},` +
		`{"Effect":"Allow","Action":"iam:GetAccountPasswordPolicy","Resource":"*"}]}`
}

// CreateAccountAlias implements iamapi.Service. An account has one alias: a new
// one replaces it.
func (s *Service) CreateAccountAlias(ctx context.Context, in *iamapi.CreateAccountAliasRequest) (*iamapi.CreateAccountAliasOutput, error) {
	return nil, s.updateSettings(ctx, func(a *AccountSettings) error {
		if a.Alias == in.AccountAlias {
			return exists("The account alias %s already exists.", in.AccountAlias)
		}
		a.Alias = in.AccountAlias
		return nil
	})
}

// DeleteAccountAlias implements iamapi.Service.
func (s *Service) DeleteAccountAlias(ctx context.Context, in *iamapi.DeleteAccountAliasRequest) (*iamapi.DeleteAccountAliasOutput, error) {
	return nil, s.updateSettings(ctx, func(a *AccountSettings) error {
		if a.Alias == "" || a.Alias != in.AccountAlias {
			return noSuch("The account alias with name %s cannot be found.", in.AccountAlias)
		}
		a.Alias = ""
		return nil
	})
}

// ListAccountAliases implements iamapi.Service.
func (s *Service) ListAccountAliases(ctx context.Context, in *iamapi.ListAccountAliasesRequest) (*iamapi.ListAccountAliasesResponse, error) {
	var list []string
	err := s.db.View(ctx, func(tx *store.Tx) error {
		list = nil
		a, err := s.settings(tx)
		if a.Alias != "" {
			list = []string{a.Alias}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := &iamapi.ListAccountAliasesResponse{AccountAliases: []string{}}
	list, out.Marker, out.IsTruncated, err = page(s, "aliases", list, itself, in.Marker, in.MaxItems)
	out.AccountAliases = append(out.AccountAliases, list...)
	return out, err
}

func (s *Service) noPasswordPolicy() error {
	return noSuch("The Password Policy with domain name %s cannot be found.", s.cfg.Account)
}

// UpdateAccountPasswordPolicy implements iamapi.Service. What is not given falls
// back to its default: nothing of an earlier policy stays.
func (s *Service) UpdateAccountPasswordPolicy(ctx context.Context, in *iamapi.UpdateAccountPasswordPolicyRequest) (*iamapi.UpdateAccountPasswordPolicyOutput, error) {
	p := PasswordPolicy{
		MinLength: minLength, Symbols: wire.Value(in.RequireSymbols), Numbers: wire.Value(in.RequireNumbers), Upper: wire.Value(in.RequireUppercaseCharacters),
		Lower: wire.Value(in.RequireLowercaseCharacters), AllowChange: wire.Value(in.AllowUsersToChangePassword), MaxAge: wire.Value(in.MaxPasswordAge),
		Reuse: wire.Value(in.PasswordReusePrevention), HardExpiry: wire.Value(in.HardExpiry),
	}
	if in.MinimumPasswordLength != nil {
		p.MinLength = *in.MinimumPasswordLength
	}
	return nil, s.updateSettings(ctx, func(a *AccountSettings) error {
		a.Passwords = &p
		return nil
	})
}

// GetAccountPasswordPolicy implements iamapi.Service.
func (s *Service) GetAccountPasswordPolicy(ctx context.Context, _ *iamapi.GetAccountPasswordPolicyInput) (*iamapi.GetAccountPasswordPolicyResponse, error) {
	out := &iamapi.GetAccountPasswordPolicyResponse{}
	return out, s.db.View(ctx, func(tx *store.Tx) error {
		a, err := s.settings(tx)
		if err != nil {
			return err
		}
		p := a.Passwords
		if p == nil {
			return s.noPasswordPolicy()
		}
		out.PasswordPolicy = &iamapi.PasswordPolicy{
			MinimumPasswordLength: &p.MinLength, RequireSymbols: &p.Symbols, RequireNumbers: &p.Numbers, RequireUppercaseCharacters: &p.Upper,
			RequireLowercaseCharacters: &p.Lower, AllowUsersToChangePassword: &p.AllowChange, ExpirePasswords: wire.Bool(p.MaxAge > 0), HardExpiry: &p.HardExpiry,
		}
		if p.MaxAge > 0 {
			out.PasswordPolicy.MaxPasswordAge = &p.MaxAge
		}
		if p.Reuse > 0 {
			out.PasswordPolicy.PasswordReusePrevention = &p.Reuse
		}
		return nil
	})
}

// DeleteAccountPasswordPolicy implements iamapi.Service.
func (s *Service) DeleteAccountPasswordPolicy(ctx context.Context, _ *iamapi.DeleteAccountPasswordPolicyInput) (*iamapi.DeleteAccountPasswordPolicyOutput, error) {
	return nil, s.updateSettings(ctx, func(a *AccountSettings) error {
		if a.Passwords == nil {
			return s.noPasswordPolicy()
		}
		a.Passwords = nil
		return nil
	})
}
