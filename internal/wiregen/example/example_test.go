package example

import (
	"testing"

	"moat/internal/wire"
	"moat/internal/wire/iamapi"
	"moat/internal/wiregen"
)

// An example satisfies the constraints that the contract checks; the empty input does not.
func TestMaker_Fill(t *testing.T) {
	t.Parallel()
	for _, a := range wiregen.APIs() {
		if a.Package != "iamapi" {
			continue
		}
		model, err := a.Load()
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range iamapi.New(iamapi.Unimplemented{}).Operations {
			if op.Validate == nil {
				continue
			}
			for _, full := range []bool{false, true} {
				in, v := op.NewInput(), &wire.Violations{}
				if err := (&Maker{Model: model, Full: full}).Fill(op.Name, in); err != nil {
					t.Errorf("%s: %v", op.Name, err)
				}
				if op.Validate(in, v); v.Len() > 0 {
					t.Errorf("%s: %s", op.Name, v.String())
				}
			}
		}
		if err := (&Maker{Model: model}).Fill("NoSuchOperation", nil); err == nil {
			t.Error("an unknown operation has an example")
		}
	}
}
