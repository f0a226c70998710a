package userpool

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"

	"moat/internal/pure/srp"
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
		UserPoolId: id, ClientName: "c", ExplicitAuthFlows: []api.ExplicitAuthFlowsType{"ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH"},
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

// BenchmarkSRP is the server's side of a sign-in by SRP, without HTTP: what a client computes
// is done before.
func BenchmarkSRP(b *testing.B) {
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
	client, _ := refreshing(b, ctx, s, "ES256")
	for b.Loop() {
		b.StopTimer()
		me, err := srp.NewClient(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		first, err := s.InitiateAuth(ctx, &api.InitiateAuthRequest{AuthFlow: "USER_SRP_AUTH", ClientId: client, AuthParameters: map[string]string{"USERNAME": "ann", "SRP_A": me.Public()}})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		p := first.ChallengeParameters
		c, err := s.clientPool(ctx, client)
		if err != nil {
			b.Fatal(err)
		}
		id := srp.Identity{Pool: c, User: p["USER_ID_FOR_SRP"]}
		key, err := me.Key(id, p["SALT"], p["SRP_B"], goodPass)
		if err != nil {
			b.Fatal(err)
		}
		block, _ := base64.StdEncoding.DecodeString(p["SECRET_BLOCK"]) // as it was sent
		stamp := s.now().UTC().Format("Mon Jan 2 15:04:05 UTC 2006")
		responses := map[string]string{
			"USERNAME": p["USER_ID_FOR_SRP"], "PASSWORD_CLAIM_SECRET_BLOCK": p["SECRET_BLOCK"], "TIMESTAMP": stamp,
			"PASSWORD_CLAIM_SIGNATURE": base64.StdEncoding.EncodeToString(srp.Proof(key, id, block, stamp)),
		}
		b.StartTimer()
		if _, err := s.RespondToAuthChallenge(ctx, &api.RespondToAuthChallengeRequest{ChallengeName: "PASSWORD_VERIFIER", ClientId: client, ChallengeResponses: responses}); err != nil {
			b.Fatal(err)
		}
	}
}

// clientPool is the part of a client's pool id that SRP hashes.
func (s *Service) clientPool(ctx context.Context, client string) (name string, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		p, _, err := s.both(tx, client)
		_, name, _ = strings.Cut(p.ID, "_")
		return err
	})
	return name, err
}
