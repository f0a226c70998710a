package stack

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"moat/internal/service/stack/template"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// world is what fake handlers create: physical id to properties.
type world struct {
	mu    sync.Mutex
	made  map[string]string
	calls []string
	count map[string]int
	fail  map[string]error // by "Create A", "Update A", "Delete A"
	hang  map[string]chan struct{}
	hung  chan struct{} // closed when a call hangs
}

func newWorld() *world {
	return &world{made: map[string]string{}, count: map[string]int{}, fail: map[string]error{}, hang: map[string]chan struct{}{}, hung: make(chan struct{})}
}

func (w *world) call(verb string, r *Request) error {
	w.mu.Lock()
	key := verb + " " + r.LogicalID
	w.calls = append(w.calls, key)
	err, hang := w.fail[key], w.hang[key]
	w.mu.Unlock()
	if hang != nil {
		close(w.hung)
		<-hang
	}
	return err
}

func (w *world) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.calls
	w.calls = nil
	return c
}

func (w *world) have() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for id, v := range w.made {
		out = append(out, id+"="+v)
	}
	sort.Strings(out)
	return strings.Join(out, " ")
}

// handler makes things of one property that can be updated, Value, and one that cannot, Name.
func (w *world) handler() Handler {
	state := func(r *Request, id string) State {
		return State{PhysicalID: id, Attributes: map[string]string{"Value": r.text("Value"), "Arn": "arn:" + id, "Type": r.text("Type")}}
	}
	return Handler{
		Create: func(_ context.Context, r *Request) (State, error) {
			if err := w.call("Create", r); err != nil {
				return State{}, err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.count[r.LogicalID]++
			id := fmt.Sprintf("%s%d", strings.ToLower(r.LogicalID), w.count[r.LogicalID])
			if n := r.text("Name"); n != "" {
				id = n
			}
			w.made[id] = r.text("Value")
			return state(r, id), nil
		},
		Update: func(_ context.Context, r *Request) (State, error) {
			if err := w.call("Update", r); err != nil {
				return State{}, err
			}
			w.mu.Lock()
			w.made[r.PhysicalID] = r.text("Value")
			after := w.hang["Updated "+r.LogicalID]
			w.mu.Unlock()
			if after != nil {
				close(w.hung)
				<-after // the answer is lost
			}
			return state(r, r.PhysicalID), nil
		},
		Delete: func(_ context.Context, r *Request) error {
			if err := w.call("Delete", r); err != nil {
				return err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			delete(w.made, r.PhysicalID)
			return nil
		},
	}
}

var testTime = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func openDB(t *testing.T, path string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Path: path, MasterKey: make([]byte, 32), Now: func() time.Time { return testTime }, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func benchDB(b *testing.B) *store.DB {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{Path: filepath.Join(b.TempDir(), "moat.db"), MasterKey: make([]byte, 32), Now: time.Now, Rand: rand.Reader})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db
}

func newTestService(t *testing.T, db *store.DB, w *world) *Service {
	t.Helper()
	s, err := New(Config{
		DB: db, Now: func() time.Time { return testTime }, Rand: rand.Reader, Account: "000000000000", BaseURL: "http://localhost:4566",
		Handlers: map[string]Handler{"AWS::SSM::Parameter": w.handler(), "AWS::Logs::LogGroup": w.handler()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func setup(t *testing.T) (*Service, *world, context.Context) {
	t.Helper()
	w := newWorld()
	s := newTestService(t, openDB(t, filepath.Join(t.TempDir(), "moat.db")), w)
	return s, w, callContext(t)
}

func callContext(t *testing.T) context.Context {
	t.Helper()
	return wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "eu-west-1"})
}

// parameters writes a template of parameters A, B, ...: "A=1", "B=${A}", "C:name=2".
func parameters(defs ...string) []byte {
	var b strings.Builder
	b.WriteString("Resources:\n")
	for _, d := range defs {
		id, value, _ := strings.Cut(d, "=")
		id, name, named := strings.Cut(id, ":")
		fmt.Fprintf(&b, "  %s:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Value: !Sub %q\n", id, value)
		if named {
			fmt.Fprintf(&b, "      Name: %s\n", name)
		}
	}
	b.WriteString("Outputs:\n  First:\n    Value: !Ref A\n")
	return []byte(b.String())
}

func deploy(t *testing.T, s *Service, ctx context.Context, body []byte) (Result, error) { //nolint:revive // t first
	t.Helper()
	return s.Deploy(ctx, DeployInput{Name: "st", Template: body})
}

func mustDeploy(t *testing.T, s *Service, ctx context.Context, body []byte) Result { //nolint:revive // t first
	t.Helper()
	res, err := deploy(t, s, ctx, body)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func statusOf(t *testing.T, s *Service, ctx context.Context) string { //nolint:revive // t first
	t.Helper()
	out, err := s.DescribeStacks(ctx, &cloudformationapi.DescribeStacksInput{StackName: wire.String("st")})
	if err != nil {
		return err.Error()
	}
	return string(out.Stacks[0].StackStatus)
}

func TestService_Deploy_lifecycle(t *testing.T) {
	t.Parallel()
	s, w, ctx := setup(t)
	res := mustDeploy(t, s, ctx, parameters("C=${B}", "B=${A}", "A=1"))
	if res.Outputs["First"] != "a1" || !res.Changed {
		t.Errorf("result = %+v", res)
	}
	if got, want := strings.Join(w.take(), ", "), "Create A, Create B, Create C"; got != want {
		t.Errorf("calls = %s, want %s", got, want)
	}
	if res = mustDeploy(t, s, ctx, parameters("C=${B}", "B=${A}", "A=1")); res.Changed || len(w.take()) != 0 {
		t.Errorf("a second deployment changed something: %+v", res)
	}
	mustDeploy(t, s, ctx, parameters("B=${A}", "A=2", "D=x"))
	if got, want := w.have(), "a1=2 b1=a1 d1=x"; got != want {
		t.Errorf("after the update: %s, want %s", got, want)
	}
	w.take()
	mustDeploy(t, s, ctx, parameters("B=${A}", "A:other=2", "D=x"))
	if got, want := strings.Join(w.take(), ", "), "Create A, Update B, Delete A"; got != want {
		t.Errorf("replacement: %s, want %s", got, want)
	}
	if got, want := w.have(), "b1=other d1=x other=2"; got != want {
		t.Errorf("after the replacement: %s, want %s", got, want)
	}
	if err := s.Remove(ctx, "st", nil); err != nil {
		t.Fatal(err)
	}
	if calls := strings.Join(w.take(), " "); w.have() != "" || strings.Index(calls, "Delete B") > strings.Index(calls, "Delete A") {
		t.Errorf("after the deletion: %q, calls %v", w.have(), calls)
	}
	if got := statusOf(t, s, ctx); !strings.Contains(got, "Stack with id st does not exist") {
		t.Errorf("status = %s", got)
	}
}

func TestService_Deploy_rollback(t *testing.T) {
	t.Parallel()
	boom := wire.NewError(400, "Boom", "no")
	t.Run("create", func(t *testing.T) {
		t.Parallel()
		s, w, ctx := setup(t)
		w.fail["Create C"] = boom
		_, err := deploy(t, s, ctx, parameters("A=1", "B=${A}", "C=${B}"))
		var f *Failure
		if !errors.As(err, &f) || f.Status != "ROLLBACK_COMPLETE" || len(f.Causes) != 2 || f.Causes[0].LogicalID != "C" {
			t.Fatalf("error = %v", err)
		}
		if w.have() != "" {
			t.Errorf("left behind: %s", w.have())
		}
		delete(w.fail, "Create C")
		if res := mustDeploy(t, s, ctx, parameters("A=1", "B=${A}", "C=${B}")); res.Status != "CREATE_COMPLETE" {
			t.Errorf("deployed again: %+v", res)
		}
	})
	t.Run("update", func(t *testing.T) {
		t.Parallel()
		s, w, ctx := setup(t)
		mustDeploy(t, s, ctx, parameters("A=1", "B:old=1", "C=1"))
		before := w.have()
		w.fail["Create Z"] = boom
		_, err := deploy(t, s, ctx, parameters("A=2", "B:new=${A}", "D=1", "Z=${B}"))
		var f *Failure
		if !errors.As(err, &f) || f.Status != "UPDATE_ROLLBACK_COMPLETE" {
			t.Fatalf("error = %v", err)
		}
		if w.have() != before {
			t.Errorf("after the rollback: %s, want %s", w.have(), before)
		}
		delete(w.fail, "Create Z")
		if res := mustDeploy(t, s, ctx, parameters("A=1", "B:old=1", "C=1")); res.Changed {
			t.Error("the stack does not have its former template")
		}
	})
	t.Run("update that fails in place", func(t *testing.T) {
		t.Parallel()
		s, w, ctx := setup(t)
		mustDeploy(t, s, ctx, parameters("A=1", "B=1"))
		w.fail["Update B"] = boom
		go func() { // the rollback's update of B shall succeed
			for {
				w.mu.Lock()
				for _, c := range w.calls {
					if c == "Update B" {
						delete(w.fail, "Update B")
						w.mu.Unlock()
						return
					}
				}
				w.mu.Unlock()
			}
		}()
		if _, err := deploy(t, s, ctx, parameters("A=2", "B=${A}")); err == nil {
			t.Fatal("no error")
		}
		if got := w.have(); got != "a1=1 b1=1" {
			t.Errorf("after the rollback: %s", got)
		}
	})
	t.Run("nothing created for a mistake", func(t *testing.T) {
		t.Parallel()
		s, w, ctx := setup(t)
		_, err := deploy(t, s, ctx, []byte("Resources:\n  A:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Valu: 1\n"))
		var es template.Errors
		if !errors.As(err, &es) || len(es) != 2 || es[0].Pos.Line != 5 && es[1].Pos.Line != 6 || !strings.Contains(err.Error(), "did you mean Value?") {
			t.Errorf("error = %v", err)
		}
		if len(w.take()) != 0 || !strings.Contains(statusOf(t, s, ctx), "does not exist") {
			t.Error("something was created")
		}
	})
}

func TestService_DeletionPolicy(t *testing.T) {
	t.Parallel()
	s, w, ctx := setup(t)
	body := string(parameters("A=1", "B=${A}")) + ""
	body = strings.Replace(body, "  A:\n", "  A:\n    DeletionPolicy: Retain\n", 1)
	mustDeploy(t, s, ctx, []byte(body))
	if err := s.Remove(ctx, "st", nil); err != nil {
		t.Fatal(err)
	}
	if got := w.have(); got != "a1=1" {
		t.Errorf("kept: %q, want A alone", got)
	}
}

func TestService_interrupted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, want string }{{"create", ""}, {"update", "a1=1 b1=1"}, {"update that was made", "a1=1 b1=1"}, {"delete", ""}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			db := openDB(t, filepath.Join(t.TempDir(), "moat.db"))
			s := newTestService(t, db, w)
			ctx := callContext(t)
			key := "Create B"
			if tc.name != "create" {
				mustDeploy(t, s, ctx, parameters("A=1", "B=1"))
				key = map[string]string{"update": "Update B", "update that was made": "Updated B", "delete": "Delete A"}[tc.name]
			}
			stopped := make(chan struct{})
			w.hang[key] = stopped
			done := make(chan struct{})
			go func() {
				defer close(done)
				if tc.name == "delete" {
					_ = s.Remove(ctx, "st", nil)
					return
				}
				_, _ = s.Deploy(ctx, DeployInput{Name: "st", Template: parameters("A=2", "B=${A}")})
			}()
			<-w.hung
			// The process is gone as far as the next one can see: its operation is journalled
			// and not over. The handler's call is stuck and changes nothing any more.
			w.mu.Lock()
			delete(w.hang, key)
			w.mu.Unlock()
			waitJournal(t, db, s)
			next := newTestService(t, db, w)
			run, cancel := context.WithCancel(ctx)
			finished := make(chan error, 1)
			go func() { finished <- next.Run(run) }()
			waitOver(t, next, ctx)
			cancel()
			if err := <-finished; err != nil {
				t.Error(err)
			}
			if got := w.have(); got != tc.want {
				t.Errorf("after recovery: %q, want %q (%s)", got, tc.want, statusOf(t, next, ctx))
			}
			w.mu.Lock()
			w.fail["Create B"], w.fail["Update B"], w.fail["Delete A"] = errors.New("late"), errors.New("late"), errors.New("late")
			w.mu.Unlock()
			close(stopped)
			<-done
		})
	}
}

// waitJournal waits until the progress of the running operation is on disk.
func waitJournal(t *testing.T, db *store.DB, s *Service) {
	t.Helper()
	for range 200000 {
		n := 0
		err := db.View(t.Context(), func(tx *store.Tx) error {
			list, err := s.tables.resources.List(tx, store.Query{})
			for _, r := range list {
				if r.LogicalID == "A" && r.Status != "" {
					n++
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("no progress in the journal")
}

// waitOver waits for the end of the operation.
func waitOver(t *testing.T, s *Service, ctx context.Context) { //nolint:revive // t first
	t.Helper()
	for range 200000 {
		n := 0
		if err := s.cfg.DB.View(ctx, func(tx *store.Tx) (err error) {
			n, err = s.tables.operations.Count(tx, store.Query{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
	t.Fatal("the operation does not end")
}
