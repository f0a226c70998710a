package userpool

import (
	"context"
	"strings"

	"moat/internal/pure/policy"
	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// servicePrincipal is who gets the roles of pools and groups.
const servicePrincipal = "cognito-idp.amazonaws.com"

// poolIDOfARN is the pool id in an ARN, "" when there is none.
func poolIDOfARN(arn string) string {
	_, resource, _ := strings.Cut(arn, ":userpool/")
	id, _, _ := strings.Cut(resource, "/")
	return id
}

// resources names what a call acts on: the pool that its input names, with its tags.
// Calls that name none (CreateUserPool, ListUserPools, DescribeUserPoolDomain) act on "*".
func (s *Service) resources(_ *wire.Call, _ string, in any) []wire.Need {
	keys := policy.Context{}
	switch in := in.(type) {
	case *api.CreateUserPoolRequest:
		wire.RequestTags(keys, in.UserPoolTags)
		return passSMSRole(wire.Needs(keys, "*"), in.SmsConfiguration)
	case *api.UpdateUserPoolRequest:
		wire.RequestTags(keys, in.UserPoolTags)
		return passSMSRole(s.onPool(keys, in.UserPoolId), in.SmsConfiguration)
	case *api.CreateUserImportJobRequest:
		needs := s.onPool(keys, in.UserPoolId)
		return append(needs, wire.PassRole(in.CloudWatchLogsRoleArn, servicePrincipal, needs[0].Resource))
	case *api.SetUserPoolMfaConfigRequest:
		needs := s.onPool(keys, in.UserPoolId)
		if in.SmsMfaConfiguration != nil {
			needs = passSMSRole(needs, in.SmsMfaConfiguration.SmsConfiguration)
		}
		return needs
	case *api.SetLogDeliveryConfigurationRequest:
		return deliveryNeeds(s.onPool(keys, in.UserPoolId), in.LogConfigurations)
	case *api.TagResourceRequest:
		wire.RequestTags(keys, in.Tags)
		return s.onARN(keys, in.ResourceArn)
	case *api.UntagResourceRequest:
		wire.TagKeys(keys, in.TagKeys...)
		return s.onARN(keys, in.ResourceArn)
	case *api.ListTagsForResourceRequest:
		return s.onARN(keys, in.ResourceArn)
	}
	if id := wire.Member(in, "UserPoolId"); id != "" {
		return s.onPool(keys, id)
	}
	return nil
}

// onPool is the need to act on a pool; what does not exist has no tags.
func (s *Service) onPool(keys policy.Context, id string) []wire.Need {
	_ = s.db.View(context.Background(), func(tx *store.Tx) error { // or the call itself will fail on the same database
		p, err := s.lookPool(tx, id)
		wire.ResourceTags(keys, p.Tags)
		return err
	})
	return wire.Needs(keys, s.arnOf(id))
}

func (s *Service) arnOf(id string) string {
	return "arn:aws:cognito-idp:" + regionOf(id) + ":" + s.account + ":userpool/" + id
}

// onARN is onPool for a call that names an ARN, whosever it is.
func (s *Service) onARN(keys policy.Context, arn string) []wire.Need {
	if id := poolIDOfARN(arn); s.arnOf(id) == arn {
		return s.onPool(keys, id)
	}
	return wire.Needs(keys, arn)
}

// passSMSRole adds the need to pass the role with which a pool sends text messages.
func passSMSRole(needs []wire.Need, sms *api.SmsConfigurationType) []wire.Need {
	if sms == nil || sms.SnsCallerArn == "" {
		return needs
	}
	return append(needs, wire.PassRole(sms.SnsCallerArn, servicePrincipal, needs[0].Resource))
}
