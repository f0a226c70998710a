package store

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A database that is reached by a link has its log beside the file that the link leads to: that one is synced, whatever
// lies beside the link, and who comes without the link finds it in use.
func TestOpen_link(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	link, file, key := filepath.Join(dir, "moat.db"), filepath.Join(elsewhere, "real.db"), bytes.Repeat([]byte{7}, 32)
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} { // without the file, and with it
		db, err := Open(t.Context(), Config{Path: link, MasterKey: key})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), func(*Tx) error { return nil }); err != nil {
			t.Error(err)
		}
		log := db.engine.(*sqliteEngine).log
		if log == nil {
			t.Fatal("the log is not synced")
		}
		is, err := os.Stat(file + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if synced, err := log.Stat(); err != nil || !os.SameFile(is, synced) {
			t.Errorf("another file is synced: %v", err)
		}
		if again {
			if two, err := Open(t.Context(), Config{Path: file, MasterKey: key}); err == nil {
				t.Errorf("two have the file open: %v", two.Close())
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		// What lies beside the link is nobody's log.
		if err := os.WriteFile(link+"-wal", nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
