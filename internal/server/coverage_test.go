package server

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"testing"

	"moat/internal/wire"
	"moat/internal/wiregen/coverage"
)

var update = flag.Bool("update", false, "write docs/coverage.md anew")

// docs/coverage.md says of every operation of AWS's models whether Moat has it. An operation is
// built when calling it does anything but answer 501.
func TestCoverage_IsCurrent(t *testing.T) {
	s := newTestServer(t)
	var sections []coverage.Section
	for _, api := range s.parts.apis() {
		section := coverage.Section{API: api.Endpoint}
		for _, state := range []coverage.State{coverage.Built, coverage.NotBuilt} {
			for _, op := range api.Operations {
				if answers501(op) == (state == coverage.NotBuilt) {
					section.Lines = append(section.Lines, coverage.Line{Operation: op.Name, State: state})
				}
			}
		}
		for _, name := range api.NotTaken {
			section.Lines = append(section.Lines, coverage.Line{Operation: name, State: coverage.NotTaken})
		}
		sections = append(sections, section)
	}
	want := coverage.Render(sections)
	const file = "../../docs/coverage.md"
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not current; `make generate` writes it anew", file)
	}
}

// answers501 calls an operation with nothing in it and looks whether it is there at all.
func answers501(op wire.Operation) (unbuilt bool) {
	defer func() {
		if recover() != nil { // it began to work on an input that validation would have refused
			unbuilt = false
		}
	}()
	ctx := wire.WithCall(context.Background(), &wire.Call{Account: "000000000000", Region: "us-east-1", Operation: op.Name})
	_, err := op.Call(ctx, op.NewInput())
	var e wire.Exception
	return errors.As(err, &e) && e.HTTPStatus() == http.StatusNotImplemented
}
