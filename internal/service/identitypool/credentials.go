package identitypool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/pure/token"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidentityapi"
)

// provider is the name of identity pools in trust policies and condition keys.
const provider = "cognito-identity.amazonaws.com"

// sessionName is the name of every session that the enhanced flow makes.
const sessionName = "CognitoIdentityCredentials"

// guestPolicies limit the sessions of guests in the enhanced flow to the services
// that the developer guide lists (IAM roles, "Services that unauthenticated
// enhanced flow users can access"): first the inline session policy, then the
// managed AmazonCognitoUnAuthedIdentitiesSessionPolicy. The two add up, and only
// what the role allows as well is allowed.
func guestPolicies() []string {
	return []string{
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["appsync:*","cloudwatch:*","codewhisperer:*","cognito-identity:*","cognito-idp:*","cognito-sync:*",` +
			`"comprehend:*","dynamodb:*","execute-api:*","firehose:*","gamelift:*","geo:*","iot:*","kinesis:*","kinesisanalytics:*",` +
			`"kms:Decrypt","kms:Encrypt","kms:GenerateDataKey","kms:ReEncrypt*","lambda:*","lex:*","logs:*","machinelearning:*","mobileanalytics:*","mobiletargeting:*","personalize:*","polly:*","rekognition:*",` +
			`"s3:*","sagemaker:InvokeEndpoint","sdb:*","ses:*","sns:*","sqs:*","sumerian:View*","textract:AnalyzeDocument","textract:DetectDocumentText","transcribe:*","translate:*"],"Resource":"*"}]}`,
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["rum:PutRumEvents","sagemaker:InvokeEndpoint","polly:*","comprehend:*","translate:*","transcribe:*","rekognition:*","mobiletargeting:*","firehose:*","personalize:*",` +
			`"geo:GetMap*","geo:SearchPlaceIndex*","geo:GetPlace","geo:CalculateRoute*","geo:*Geofence","geo:*Geofences","geo:*DevicePosition*",` +
			`"kms:Encrypt","kms:Decrypt","kms:ReEncryptTo","kms:ReEncryptFrom","kms:GenerateDataKey","kms:GenerateDataKeyPair","kms:GenerateDataKeyPairWithoutPlaintext","kms:GenerateDataKeyWithoutPlaintext"],"Resource":"*"}]}`,
	}
}

// GetCredentialsForIdentity implements cognitoidentityapi.Service: the enhanced
// flow. The role's trust policy sees the pool (aud), the identity (sub) and how
// it signed in (amr).
func (s *Service) GetCredentialsForIdentity(ctx context.Context, in *api.GetCredentialsForIdentityInput) (*api.GetCredentialsForIdentityResponse, error) {
	i, p, proofs, err := s.authenticate(ctx, in.IdentityId, in.Logins)
	if err != nil {
		return nil, err
	}
	role, err := chooseRole(&p, &i, proofs, in.CustomRoleArn)
	if err != nil {
		return nil, err
	}
	keys := policy.Context{}
	keys.Set(provider+":aud", p.ID)
	keys.Set(provider+":sub", i.ID)
	keys.Set(provider+":amr", amr(proofs)...)
	var limits []string
	if len(proofs) == 0 {
		limits = guestPolicies()
	}
	c, expires, err := s.cfg.Roles.WebIdentityCredentials(ctx, role, sessionName, provider, keys, principalTags(&p, proofs), limits, time.Hour)
	var untrusted interface{ NotTrusted() bool }
	if errors.As(err, &untrusted) && untrusted.NotTrusted() {
		return nil, badConfiguration()
	}
	if err != nil {
		return nil, err
	}
	return &api.GetCredentialsForIdentityResponse{IdentityId: &i.ID, Credentials: &api.Credentials{
		AccessKeyId: &c.AccessKeyID, SecretKey: &c.SecretAccessKey, SessionToken: &c.SessionToken, Expiration: wire.Time(expires.UTC()),
	}}, nil
}

// amr is how an identity signed in, as trust policies see it.
func amr(proofs []proof) []string {
	if len(proofs) == 0 {
		return []string{"unauthenticated"}
	}
	out := []string{"authenticated"}
	for _, pr := range proofs {
		out = append(out, pr.Provider, pr.Provider+":CognitoSignIn:"+pr.Subject)
	}
	return out
}

// chooseRole finds the role of an identity: its provider's role mapping first,
// then the pool's role for those who signed in or did not.
func chooseRole(p *Pool, i *Identity, proofs []proof, custom *string) (string, error) {
	kind := "authenticated"
	if len(proofs) == 0 {
		kind = "unauthenticated"
	}
	for _, pr := range proofs {
		m, ok := p.Mappings[pr.Provider+":"+pr.provider.Client]
		if !ok {
			continue
		}
		role := m.role(pr.token.Claims, custom)
		switch {
		case role != "":
			return role, nil
		case custom != nil || m.Ambiguous != "AuthenticatedRole":
			return "", forbidden(i.ID)
		}
	}
	if custom != nil {
		return "", forbidden(i.ID)
	}
	role := p.Roles[kind]
	if role == "" {
		return "", badConfiguration()
	}
	return role, nil
}

// role is the one that claims lead to, "" when that is none or not clear. A
// custom role must be one of those that the claims lead to.
func (m *Mapping) role(claims token.Claims, custom *string) string {
	var roles []string
	preferred := ""
	if m.Type == "Token" {
		roles = claims.Strings("cognito:roles")
		preferred = claims.String("cognito:preferred_role")
	} else {
		for _, r := range m.Rules {
			if r.matches(claims) {
				roles = append(roles, r.Role)
			}
		}
		if len(roles) > 0 {
			preferred = roles[0] // rules count in their order
		}
	}
	switch {
	case custom != nil && (slices.Contains(roles, *custom) || preferred != "" && *custom == preferred):
		return *custom
	case custom != nil:
		return ""
	case preferred == "" && len(roles) == 1:
		return roles[0]
	}
	return preferred
}

func (r *Rule) matches(claims token.Claims) bool {
	values := claims.Strings(r.Claim)
	if values == nil {
		if v, ok := claims[r.Claim].(bool); ok {
			values = []string{map[bool]string{true: "true", false: "false"}[v]}
		}
	}
	switch r.Match {
	case "Equals":
		return slices.Contains(values, r.Value)
	case "NotEqual":
		return len(values) > 0 && !slices.Contains(values, r.Value)
	case "Contains":
		return slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, r.Value) })
	case "StartsWith":
		return slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, r.Value) })
	}
	return false
}

// principalTags are the session tags that a pool makes of claims.
func principalTags(p *Pool, proofs []proof) map[string]string {
	out := map[string]string{}
	for _, pr := range proofs {
		m := p.TagMaps[pr.Provider]
		tags := m.Tags
		if m.Defaults {
			tags = map[string]string{"client": "aud", "username": "sub"}
		}
		for tag, claim := range tags {
			if v := pr.token.Claims.Strings(claim); len(v) == 1 {
				out[tag] = v[0]
			}
		}
	}
	return out
}
