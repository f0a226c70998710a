package userpool

import (
	"context"
	"path/filepath"
	"testing"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

// BenchmarkRefresh is a refresh whose token rotates and is durable, without HTTP.
func BenchmarkRefresh(b *testing.B) {
	for _, algorithm := range []string{"RS256", "ES256"} {
		b.Run(algorithm, func(b *testing.B) {
			db, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "moat.db"), MasterKey: make([]byte, 32)})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			s, err := New(Config{DB: db, Account: "000000000000", BaseURL: "http://localhost:4566", Domain: "localhost:4566", Record: func(wire.Record) {}})
			if err != nil {
				b.Fatal(err)
			}
			ctx := wire.WithCall(b.Context(), &wire.Call{Account: "000000000000", Region: testRegion})
			client, tokens := refreshing(b, ctx, s, algorithm)
			b.ReportAllocs()
			b.SetParallelism(8)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				token := <-tokens
				for pb.Next() {
					out, err := s.GetTokensFromRefreshToken(ctx, &api.GetTokensFromRefreshTokenRequest{ClientId: client, RefreshToken: token})
					if err != nil {
						b.Error(err)
						return
					}
					token = *out.AuthenticationResult.RefreshToken
				}
			})
		})
	}
}

// refreshing makes a client whose refresh tokens rotate, and some that are to be refreshed.
func refreshing(b *testing.B, ctx context.Context, s *Service, algorithm string) (client string, tokens chan string) {
	b.Helper()
	pool, err := s.CreateUserPool(ctx, &api.CreateUserPoolRequest{PoolName: "bench", UserPoolTags: map[string]string{tagSigningAlgorithm: algorithm}})
	if err != nil {
		b.Fatal(err)
	}
	id := *pool.UserPool.Id
	made, err := s.CreateUserPoolClient(ctx, &api.CreateUserPoolClientRequest{
		UserPoolId: id, ClientName: "c", ExplicitAuthFlows: []api.ExplicitAuthFlowsType{"ALLOW_USER_PASSWORD_AUTH"},
		RefreshTokenRotation: &api.RefreshTokenRotationType{Feature: "ENABLED", RetryGracePeriodSeconds: wire.Int32(0)},
	})
	if err != nil {
		b.Fatal(err)
	}
	client, tokens = *made.UserPoolClient.ClientId, make(chan string, 64)
	password := goodPass
	if _, err := s.AdminCreateUser(ctx, &api.AdminCreateUserRequest{UserPoolId: id, Username: "ann", MessageAction: "SUPPRESS"}); err != nil {
		b.Fatal(err)
	}
	if _, err := s.AdminSetUserPassword(ctx, &api.AdminSetUserPasswordRequest{UserPoolId: id, Username: "ann", Password: password, Permanent: wire.Bool(true)}); err != nil {
		b.Fatal(err)
	}
	for range cap(tokens) {
		out, err := s.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "USER_PASSWORD_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "ann", "PASSWORD": password}})
		if err != nil {
			b.Fatal(err)
		}
		tokens <- *out.AuthenticationResult.RefreshToken
	}
	return client, tokens
}
