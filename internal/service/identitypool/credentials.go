package identitypool

import (
	"context"
	"errors"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// provider is the name of identity pools in trust policies and condition keys.
const provider = "cognito-identity.amazonaws.com"

// sessionName is the name of every session that the enhanced flow makes.
const sessionName = "CognitoIdentityCredentials"

// guestPolicies limit the sessions of guests in the enhanced flow to the services
// that the developer guide lists (IAM roles, "Access policies for unauthenticated
// identities"): first the inline session policy, then the managed
// AmazonCognitoUnAuthedIdentitiesSessionPolicy, version 4. The two add up, and only
// what the role allows as well is allowed.
func guestPolicies() []string {
	return []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["appsync:*","cloudwatch:*","codewhisperer:*","cognito-identity:*","cognito-idp:*","cognito-sync:*",` +
			`"comprehend:*","dynamodb:*","execute-api:*","firehose:*","gamelift:*","iot:*","kinesis:*","lambda:*","lex:*","logs:*","machinelearning:*","mobileanalytics:*",` +
			`"mobiletargeting:*","personalize:*","polly:*","rekognition:*","s3:*","sagemaker:InvokeEndpoint","sdb:*","ses:*","sns:*","sqs:*",` +
			`"textract:AnalyzeDocument","textract:DetectDocumentText","transcribe:*","translate:*"],"Resource":"*"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["comprehend:*","firehose:*","geo:*DevicePosition*","geo:*Geofence","geo:*Geofences","geo:CalculateRoute*",` +
			`"geo:GetMap*","geo:GetPlace","geo:ListMaps","geo:SearchPlaceIndex*","kms:Decrypt","kms:Encrypt","kms:GenerateDataKey","kms:GenerateDataKeyPair",` +
			`"kms:GenerateDataKeyPairWithoutPlaintext","kms:GenerateDataKeyWithoutPlaintext","kms:ReEncryptFrom","kms:ReEncryptTo","mobiletargeting:*","personalize:*","polly:*",` +
			`"rekognition:*","rum:PutRumEvents","sagemaker:InvokeEndpoint","transcribe:*","translate:*"],"Resource":"*"}]}`,
	}
}

// GetCredentialsForIdentity implements cognitoidentityapi.Service: the enhanced
// flow. The role's trust policy sees the pool (aud), the identity (sub) and how
// it signed in (amr).
func (s *Service) GetCredentialsForIdentity(ctx context.Context, in *api.GetCredentialsForIdentityInput) (*api.GetCredentialsForIdentityResponse, error) {
	who, err := s.authenticate(ctx, in.IdentityId, in.Logins, true)
	if err != nil {
		return nil, err
	}
	role, err := chooseRole(who, in.CustomRoleArn)
	if err != nil {
		return nil, err
	}
	tags, err := sessionTags(who)
	if err != nil {
		return nil, err
	}
	keys := policy.Context{}
	keys.Set(provider+":aud", who.pool.ID)
	keys.Set(provider+":sub", who.identity.ID)
	keys.Set(provider+":amr", amr(who)...)
	var limits []string
	if who.guest() {
		limits = guestPolicies()
	}
	c, expires, err := s.cfg.Roles.WebIdentityCredentials(ctx, role, sessionName, provider, keys, tags, limits, time.Hour)
	var untrusted interface{ NotTrusted() bool }
	if errors.As(err, &untrusted) && untrusted.NotTrusted() {
		return nil, badConfiguration()
	}
	if err != nil {
		return nil, err
	}
	return &api.GetCredentialsForIdentityResponse{IdentityId: &who.identity.ID, Credentials: &api.Credentials{
		AccessKeyId: &c.AccessKeyID, SecretKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, Expiration: wire.Time(expires.UTC()),
	}}, nil
}

// amr is how an identity signed in, as trust policies see it.
func amr(who *signedIn) []string {
	switch {
	case who.guest():
		return []string{"unauthenticated"}
	case who.own != nil:
		return who.own.amr
	}
	return amrOf(who.proofs)
}

func amrOf(proofs []proof) []string {
	out := []string{"authenticated"}
	for _, pr := range proofs {
		out = append(out, pr.amr...)
	}
	return out
}
