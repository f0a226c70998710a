package iam

import (
	"fmt"
	"testing"
	"time"

	"moat/internal/pure/policy"
	"moat/internal/store"
)

func benchService(b *testing.B) *Service {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{Path: ":memory:"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	s, err := New(Config{DB: db, Account: account})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.EnsureRoot(b.Context(), "test", "test"); err != nil {
		b.Fatal(err)
	}
	return s
}

func BenchmarkSession(b *testing.B) {
	s := benchService(b)
	small := session{Kind: policy.PrincipalRoot, MadeByKey: "test", Expires: time.Now().Add(time.Hour).Unix(), KeyID: "ASIAABCDEFGHIJKLMNOP", Secret: noise(40)}
	large := small
	large.Keys = map[string][]string{}
	for i := range 50 {
		large.Keys[fmt.Sprintf("aws:principaltag/key%d", i)] = []string{"some value"}
	}
	for name, v := range map[string]session{"small": small, "50 tags": large} {
		token, err := s.seal(v)
		if err != nil {
			b.Fatal(err)
		}
		b.Run("seal/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.seal(v); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("unseal/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.unseal(token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("remembered/"+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Credential(b.Context(), v.KeyID, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
