package iam

import (
	"context"
	"strings"

	"moat/internal/wire"
	"moat/internal/wire/stsapi"
)

// sts answers the STS API. It is the Service with other methods, because both
// APIs have a type of each name.
type sts struct {
	stsapi.Unimplemented
	*Service
}

// GetCallerIdentity implements stsapi.Service.
func (s *sts) GetCallerIdentity(ctx context.Context, _ *stsapi.GetCallerIdentityRequest) (*stsapi.GetCallerIdentityResponse, error) {
	c := wire.CallFrom(ctx).Caller
	return &stsapi.GetCallerIdentityResponse{Account: wire.String(c.Account), Arn: wire.String(c.ARN), UserId: wire.String(c.ID)}, nil
}

// GetAccessKeyInfo implements stsapi.Service.
func (s *sts) GetAccessKeyInfo(ctx context.Context, in *stsapi.GetAccessKeyInfoRequest) (*stsapi.GetAccessKeyInfoResponse, error) {
	root := s.root.Load()
	if !strings.HasPrefix(in.AccessKeyId, "ASIA") && (root == nil || root.id != in.AccessKeyId) {
		k, err := s.accessKey(ctx, in.AccessKeyId)
		if err != nil {
			return nil, err
		}
		if k == nil {
			return nil, validation("Invalid Access Key: %s", in.AccessKeyId)
		}
	}
	return &stsapi.GetAccessKeyInfoResponse{Account: wire.String(s.cfg.Account)}, nil
}

// AssumeRoot implements stsapi.Service.
func (s *sts) AssumeRoot(context.Context, *stsapi.AssumeRootRequest) (*stsapi.AssumeRootResponse, error) {
	return nil, wire.NotImplementedBecause("sts", "AssumeRoot", "there is one account, and no organization whose member accounts have roots")
}

// GetDelegatedAccessToken implements stsapi.Service.
func (s *sts) GetDelegatedAccessToken(context.Context, *stsapi.GetDelegatedAccessTokenRequest) (*stsapi.GetDelegatedAccessTokenResponse, error) {
	return nil, wire.NotImplementedBecause("sts", "GetDelegatedAccessToken", "delegation requests of IAM do not exist")
}

// GetWebIdentityToken implements stsapi.Service.
func (s *sts) GetWebIdentityToken(context.Context, *stsapi.GetWebIdentityTokenRequest) (*stsapi.GetWebIdentityTokenResponse, error) {
	return nil, wire.NotImplementedBecause("sts", "GetWebIdentityToken", "the account has no issuer of its own for outbound federation")
}

func credentialsOut(c Credentials) *stsapi.Credentials {
	return &stsapi.Credentials{AccessKeyId: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken, Expiration: c.Expiration.UTC()}
}

func invalidParameter(message string) error {
	return wire.NewError(400, "InvalidParameterValue", message)
}

func accessDenied(message string) error { return wire.NewError(403, "AccessDenied", message) }
