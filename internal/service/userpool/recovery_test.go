package userpool

import (
	"testing"

	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// Where the pool says how accounts are recovered, a code never goes where the second factor goes:
// whoever reads that mailbox would have both factors.
func TestService_recovery_secondFactor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, client := h.mfaPool("OPTIONAL")
	h.member(pool, "ann", "email", "ann@example.com", "email_verified", "true", "phone_number", "+4915112345678", "phone_number_verified", "true")
	forgot := func() (*api.ForgotPasswordResponse, error) {
		h.advance(codeWindow)
		return h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann"})
	}
	setting := func(names ...api.RecoveryOptionNameType) {
		p := must[*api.DescribeUserPoolResponse](t)(h.c.DescribeUserPool(ctx, &api.DescribeUserPoolRequest{UserPoolId: pool})).UserPool
		in := &api.UpdateUserPoolRequest{UserPoolId: pool, MfaConfiguration: p.MfaConfiguration, SmsConfiguration: p.SmsConfiguration, Policies: p.Policies}
		if len(names) > 0 {
			in.AccountRecoverySetting = &api.AccountRecoverySettingType{}
		}
		for i, name := range names {
			in.AccountRecoverySetting.RecoveryMechanisms = append(in.AccountRecoverySetting.RecoveryMechanisms, api.RecoveryOptionType{Name: name, Priority: int32(i + 1)})
		}
		must[*api.UpdateUserPoolResponse](t)(h.c.UpdateUserPool(ctx, in))
	}
	prefer := func(sms, email bool) {
		must[*api.AdminSetUserMFAPreferenceResponse](t)(h.c.AdminSetUserMFAPreference(ctx, &api.AdminSetUserMFAPreferenceRequest{
			UserPoolId: pool, Username: "ann", SMSMfaSettings: &api.SMSMfaSettingsType{Enabled: &sms}, EmailMfaSettings: &api.EmailMfaSettingsType{Enabled: &email},
		}))
	}
	for _, c := range []struct {
		sms, email bool
		want       string // medium; "" none
	}{{false, false, "EMAIL"}, {true, false, "EMAIL"}, {false, true, "SMS"}, {true, true, ""}} {
		setting(api.RecoveryOptionNameTypeverified_email, api.RecoveryOptionNameTypeverified_phone_number)
		prefer(c.sms, c.email)
		out, err := forgot()
		if c.want == "" {
			want(t, err, "InvalidParameterException", "Cannot reset password for the user as there is no registered/verified email or phone_number")
			setting() // as it ever was without the setting
			out = must[*api.ForgotPasswordResponse](t)(forgot())
			c.want = "SMS"
		} else if err != nil {
			t.Fatal(err)
		}
		if got := string(out.CodeDeliveryDetails.DeliveryMedium); got != c.want {
			t.Errorf("SMS %v, e-mail %v: the code goes by %s, want %s", c.sms, c.email, got, c.want)
		}
	}
}

// A page of a user's groups goes on where it ended, whatever became of the group it ended with.
func TestService_AdminListGroupsForUser_pages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool := h.newPoolID(nil)
	h.member(pool, "ann@example.com")
	for name, precedence := range map[string]*int32{"a": nil, "b": wire.Int32(20), "c": wire.Int32(3), "d": wire.Int32(100), "e": nil} {
		must[*api.CreateGroupResponse](t)(h.c.CreateGroup(ctx, &api.CreateGroupRequest{UserPoolId: pool, GroupName: name, Precedence: precedence}))
		must[*api.AdminAddUserToGroupOutput](t)(h.c.AdminAddUserToGroup(ctx, &api.AdminAddUserToGroupRequest{UserPoolId: pool, Username: "ann@example.com", GroupName: name}))
	}
	var got string
	var next *string
	for range 5 {
		out := must[*api.AdminListGroupsForUserResponse](t)(h.c.AdminListGroupsForUser(ctx, &api.AdminListGroupsForUserRequest{UserPoolId: pool, Username: "ann@example.com", Limit: wire.Int32(1), NextToken: next}))
		for _, g := range out.Groups {
			got += *g.GroupName
			must[*api.DeleteGroupOutput](t)(h.c.DeleteGroup(ctx, &api.DeleteGroupRequest{UserPoolId: pool, GroupName: *g.GroupName}))
		}
		if next = out.NextToken; next == nil {
			break
		}
	}
	if got != "cbdae" {
		t.Errorf("got %s", got)
	}
}
