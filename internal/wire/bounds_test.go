package wire

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestBounds gives each decoder what costs little to send and much to hold.
func TestBounds(t *testing.T) {
	t.Parallel()
	var ps planner
	p := ps.of(reflect.TypeFor[everything]())
	xmlOf := func(doc string) error {
		var v everything
		return decodeXML([]byte(doc), p, reflect.ValueOf(&v).Elem(), &Violations{}, "")
	}
	tests := []struct {
		name string
		run  func() error
		want string // of the error; empty when it must pass
	}{
		{"parameters", func() error { _, err := parseParameters(strings.Repeat("a=1&", maxParameters+1)); return err }, "too many"},
		{"many parameters", func() error { _, err := parseParameters(strings.Repeat("a=1&", maxParameters-1)); return err }, ""},
		{"thicket of names", func() error {
			var params []parameter
			for i := range 2000 {
				params = append(params, parameter{fmt.Sprintf("a%d%s", i, strings.Repeat(".b", 40)), ""})
			}
			_, err := queryTree(params)
			return err
		}, "too many"},
		{"deep name", func() error { _, err := queryTree([]parameter{{strings.Repeat("a.", 100), ""}}); return err }, "too deep"},
		{"deep XML", func() error { return xmlOf(strings.Repeat("<Self>", 100) + strings.Repeat("</Self>", 100)) }, "MalformedXML"},
		{"XML of many pieces", func() error {
			return xmlOf("<a><Text>" + strings.Repeat("x<!---->", 200000) + "</Text></a>")
		}, ""},
		{"XML entity", func() error { return xmlOf(`<!DOCTYPE a [<!ENTITY e "x">]><a><Text>&e;</Text></a>`) }, "MalformedXML"},
		{"deep JSON", func() error { _, _, err := decodeEverything([]byte(strings.Repeat(`{"Self":`, 100))); return err }, "nests"},
		{"JSON as deep as allowed", func() error {
			_, _, err := decodeEverything([]byte(strings.Repeat(`{"Self":`, maxDepth-1) + "{}" + strings.Repeat("}", maxDepth-1)))
			return err
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.run()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
