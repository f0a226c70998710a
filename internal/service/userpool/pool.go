package userpool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

var poolIDShape = lazyregexp.New(`^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}_[0-9A-Za-z]{1,40}$`)

func isPoolID(id string) bool { return len(id) <= 55 && poolIDShape.MatchString(id) }

// regionOf is the region that a pool id names.
func regionOf(poolID string) string {
	region, _, _ := strings.Cut(poolID, "_")
	return region
}

func noPool(id string) string { return "User pool " + id + " does not exist." }

// pool reads a pool wherever it lies.
func (s *Service) pool(tx *store.Tx, id string) (Pool, error) {
	p, err := s.tables.pools.Get(tx, s.account, regionOf(id), id)
	return p, missing(err, notFound, noPool(id))
}

// lookPool is pool for who only reads it: what it returns is shared.
func (s *Service) lookPool(tx *store.Tx, id string) (Pool, error) {
	p, err := s.tables.pools.Look(tx, s.account, regionOf(id), id)
	return p, missing(err, notFound, noPool(id))
}

// poolHere reads a pool of the region that the call addresses; elsewhere a pool
// does not exist, as on AWS.
func (s *Service) poolHere(ctx context.Context, tx *store.Tx, id string) (Pool, error) {
	if region := wire.CallFrom(ctx).Region; region != "" && region != regionOf(id) {
		return Pool{}, refuse(notFound, noPool(id))
	}
	return s.pool(tx, id)
}

func (s *Service) poolARN(p *Pool) string {
	return "arn:aws:cognito-idp:" + p.Region + ":" + p.Account + ":userpool/" + p.ID
}

// notBuilt refuses what a pool may ask for and does not get.
func notBuilt(operation string, in *api.UpdateUserPoolRequest) error {
	switch {
	case in.LambdaConfig != nil && in.LambdaConfig.InboundFederation != nil:
		return notImplemented(operation, "there is no federation yet whose profiles a function could change.")
	}
	return nil
}

// newSettings makes the settings of a pool; what is absent gets its default.
func newSettings(in *api.UpdateUserPoolRequest) (PoolSettings, error) {
	out := PoolSettings{
		AccountRecovery: in.AccountRecoverySetting, DeletionProtection: string(in.DeletionProtection),
		Device: in.DeviceConfiguration, Email: in.EmailConfiguration,
		EmailVerificationMessage: in.EmailVerificationMessage, EmailVerificationSubject: in.EmailVerificationSubject,
		Sms: in.SmsConfiguration, SmsAuthenticationMessage: in.SmsAuthenticationMessage, SmsVerificationMessage: in.SmsVerificationMessage,
		UpdateSettings: in.UserAttributeUpdateSettings, AddOns: in.UserPoolAddOns, Tier: string(in.UserPoolTier),
		Template: in.VerificationMessageTemplate, Lambda: in.LambdaConfig,
	}
	if err := errors.Join(checkLambda(out.Lambda), checkEmail(out.Email)); err != nil {
		return out, err
	}
	if out.DeletionProtection == "" {
		out.DeletionProtection = string(api.DeletionProtectionTypeINACTIVE)
	}
	if out.Tier == "" {
		out.Tier = string(api.UserPoolTierTypeESSENTIALS)
	}
	if in.AdminCreateUserConfig != nil {
		out.AdminCreateUser = *in.AdminCreateUserConfig
	}
	for _, a := range in.AutoVerifiedAttributes {
		out.AutoVerified = append(out.AutoVerified, string(a))
	}
	if u := in.UserAttributeUpdateSettings; u != nil {
		for _, a := range u.AttributesRequireVerificationBeforeUpdate {
			if !slices.Contains(out.AutoVerified, string(a)) {
				return out, refuse(invalidParameter, "AttributesRequireVerificationBeforeUpdate should be a subset of AutoVerifiedAttributes.")
			}
		}
	}
	if r := in.AccountRecoverySetting; r != nil {
		if err := checkRecovery(r); err != nil {
			return out, err
		}
	}
	if in.Policies != nil {
		if out.SignIn = in.Policies.SignInPolicy; out.SignIn != nil && slices.Equal(out.SignIn.AllowedFirstAuthFactors, []api.AuthFactorType{api.AuthFactorTypeWEB_AUTHN}) {
			return out, refuse(invalidParameter, "WEB_AUTHN must be accompanied by at least one other first authentication factor.")
		}
	}
	out.Password = passwordPolicy(in.Policies, out.AdminCreateUser.UnusedAccountValidityDays)
	return out, nil
}

func checkRecovery(r *api.AccountRecoverySettingType) error {
	seen := map[int32]bool{}
	for _, m := range r.RecoveryMechanisms {
		if seen[m.Priority] {
			return refuse(invalidParameter, "Priority of account recovery mechanisms must be unique.")
		}
		if m.Name == api.RecoveryOptionNameTypeadmin_only && len(r.RecoveryMechanisms) > 1 {
			return refuse(invalidParameter, "The admin_only recovery mechanism cannot be combined with others.")
		}
		seen[m.Priority] = true
	}
	return nil
}

// passwordPolicy completes a policy: a pool that says nothing gets the strict
// default, one that says something gets just that.
func passwordPolicy(in *api.UserPoolPolicyType, unusedDays *int32) api.PasswordPolicyType {
	var p api.PasswordPolicyType
	if in != nil && in.PasswordPolicy != nil {
		p = *in.PasswordPolicy
	} else {
		yes := wire.Bool(true)
		p = api.PasswordPolicyType{RequireLowercase: yes, RequireNumbers: yes, RequireSymbols: yes, RequireUppercase: yes}
	}
	if p.MinimumLength == nil {
		p.MinimumLength = wire.Int32(8)
	}
	for _, b := range []**bool{&p.RequireLowercase, &p.RequireNumbers, &p.RequireSymbols, &p.RequireUppercase} {
		if *b == nil {
			*b = wire.Bool(false)
		}
	}
	if wire.Value(p.TemporaryPasswordValidityDays) == 0 { // 0 means not set
		p.TemporaryPasswordValidityDays = wire.Int32(7)
		if wire.Value(unusedDays) > 0 {
			p.TemporaryPasswordValidityDays = unusedDays
		}
	}
	return p
}

// temporaryUntil is how long a temporary password set now may be used.
func (p *Pool) temporaryUntil(now time.Time) time.Time {
	return now.AddDate(0, 0, int(wire.Value(p.Settings.Password.TemporaryPasswordValidityDays)))
}

// requiresProof says whether a changed attribute takes effect only when proven.
func (p *Pool) requiresProof(name string) bool {
	u := p.Settings.UpdateSettings
	return u != nil && slices.Contains(u.AttributesRequireVerificationBeforeUpdate, api.VerifiedAttributeType(name))
}

// fold is the form in which a sign-in name is compared.
func (p *Pool) fold(name string) string { return foldName(name, p.CaseSensitive) }

// describePool is what Create and Describe answer.
func (s *Service) describePool(p *Pool, users int) *api.UserPoolType {
	set := &p.Settings
	admin := set.AdminCreateUser
	if admin.AllowAdminCreateUserOnly == nil {
		admin.AllowAdminCreateUserOnly = wire.Bool(false)
	}
	admin.UnusedAccountValidityDays = set.Password.TemporaryPasswordValidityDays
	out := &api.UserPoolType{
		Id: &p.ID, Name: &p.Name, Arn: wire.String(s.poolARN(p)), CreationDate: &p.CreatedAt, LastModifiedDate: &p.ModifiedAt,
		Policies:     &api.UserPoolPolicyType{PasswordPolicy: &set.Password, SignInPolicy: set.SignIn},
		LambdaConfig: wire.Ptr(p.lambda()), SchemaAttributes: p.Schema,
		MfaConfiguration: set.MFA.mode(), EstimatedNumberOfUsers: wire.Int32(int32(min(users, 1<<31-1))),
		AccountRecoverySetting: set.AccountRecovery, AdminCreateUserConfig: &admin,
		DeletionProtection: api.DeletionProtectionType(set.DeletionProtection), DeviceConfiguration: set.Device,
		EmailConfiguration: set.Email, EmailVerificationMessage: set.EmailVerificationMessage, EmailVerificationSubject: set.EmailVerificationSubject,
		SmsConfiguration: set.Sms, SmsAuthenticationMessage: set.SmsAuthenticationMessage, SmsVerificationMessage: set.SmsVerificationMessage,
		UserAttributeUpdateSettings: set.UpdateSettings, UserPoolAddOns: set.AddOns, UserPoolTier: api.UserPoolTierType(set.Tier),
		UserPoolTags: p.Tags, VerificationMessageTemplate: set.Template,
	}
	if out.EmailConfiguration == nil {
		out.EmailConfiguration = &api.EmailConfigurationType{EmailSendingAccount: api.EmailSendingAccountTypeCOGNITO_DEFAULT}
	}
	if out.VerificationMessageTemplate == nil {
		out.VerificationMessageTemplate = &api.VerificationMessageTemplateType{DefaultEmailOption: api.DefaultEmailOptionTypeCONFIRM_WITH_CODE}
	}
	if p.UsernameConfigured {
		out.UsernameConfiguration = &api.UsernameConfigurationType{CaseSensitive: p.CaseSensitive}
	}
	if p.Domain != "" {
		out.Domain = &p.Domain
	}
	out.AliasAttributes = convert[api.AliasAttributeType](p.AliasAttributes)
	out.UsernameAttributes = convert[api.UsernameAttributeType](p.UsernameAttributes)
	out.AutoVerifiedAttributes = convert[api.VerifiedAttributeType](set.AutoVerified)
	return out
}

// convert changes the string type of a list; nil stays nil.
func convert[To, From ~string](in []From) []To {
	var out []To
	for _, s := range in {
		out = append(out, To(s))
	}
	return out
}
