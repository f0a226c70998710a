package store_test

import (
	"path/filepath"
	"testing"

	"moat/internal/store"
	"moat/internal/store/storetest"
)

func open(t testing.TB, cfg store.Config) *store.DB {
	t.Helper()
	if cfg.MasterKey == nil {
		cfg.MasterKey = make([]byte, 32)
	}
	db, err := store.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestMemory(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.DB { return open(t, store.Config{Path: ":memory:"}) })
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) *store.DB {
		return open(t, store.Config{Path: filepath.Join(t.TempDir(), "moat.db")})
	})
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	server := storetest.StartPostgres(t)
	storetest.Run(t, func(t *testing.T) *store.DB { return open(t, store.Config{URL: storetest.NewSchema(t, server)}) })
}
