package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/store"
)

// crashFile names, in the environment, the database that a child of this test
// writes to until it is killed.
const crashFile = "MOAT_STORE_TEST_CRASH_FILE"

func TestMain(m *testing.M) {
	if path := os.Getenv(crashFile); path != "" {
		fmt.Println(writeForEver(path, os.Getenv(crashFile+"_RUN")))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver prints the id of every record that was acknowledged.
func writeForEver(path, run string) error {
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{Path: path, MasterKey: make([]byte, 32)})
	if err != nil {
		return err
	}
	table := items()
	if err := db.Create(table); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, 16)
	for w := range errs {
		wg.Go(func() {
			for i := 0; errs[w] == nil; i++ {
				id := fmt.Sprintf("%s-%d-%d", run, w, i)
				if errs[w] = insert(ctx, db, table, id); errs[w] == nil {
					_, errs[w] = os.Stdout.WriteString(id + "\n")
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// TestSQLite_crash kills a writing process and looks for every record that it
// had been told was written.
func TestSQLite_crash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "moat.db")
	table := items()
	var acknowledged []string
	for round := range 4 {
		acknowledged = append(acknowledged, killedWriter(t, path, fmt.Sprint(round), 300*(round+1))...)
		db, err := store.Open(t.Context(), store.Config{Path: path, MasterKey: make([]byte, 32)})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Create(table); err != nil {
			t.Fatal(err)
		}
		missing := 0
		err = db.View(t.Context(), func(tx *store.Tx) error {
			for _, id := range acknowledged {
				if _, err := table.Get(tx, id); errors.Is(err, store.ErrNotFound) {
					missing++
				} else if err != nil {
					return err
				}
			}
			return nil
		})
		if err := errors.Join(err, db.Close()); err != nil || missing > 0 {
			t.Fatalf("round %d: %d of %d acknowledged records are missing, %v", round, missing, len(acknowledged), err)
		}
	}
	t.Logf("%d acknowledged records", len(acknowledged))
}

// killedWriter runs a writer, kills it after some records and returns what it
// had acknowledged.
func killedWriter(t *testing.T, path, run string, records int) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), crashFile+"="+path, crashFile+"_RUN="+run)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	lines := bufio.NewReader(out)
	for killed := false; ; {
		line, err := lines.ReadString('\n')
		if err != nil { // a last line without its end was not acknowledged
			break
		}
		if !strings.HasPrefix(line, run+"-") {
			t.Fatalf("the writer says %q", line)
		}
		if ids = append(ids, strings.TrimSpace(line)); len(ids) >= records && !killed {
			killed = true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(ids) < records {
		t.Fatalf("the writer ended by itself after %d records: %v", len(ids), err)
	}
	return ids
}
