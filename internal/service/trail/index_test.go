package trail

import (
	"encoding/json"
	"reflect"
	"testing"
)

// A chunk's document is what encoding/json would make of it.
func TestChunk_document(t *testing.T) {
	t.Parallel()
	type plain chunk
	c := chunk{
		From: 1, To: 1 << 41, Chain: "chain-<1>", Seq: 1 << 63, Find: []string{"EventName=Put\"It\"", "Username=\u00fc&"},
		Events: []json.RawMessage{json.RawMessage(`{"a":1}`), json.RawMessage(`{"b":[true]}`)},
	}
	got, err := c.AppendDocument(nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal((*plain)(&c))
	if err != nil || string(got) != string(want) {
		t.Errorf("got %s\nwant %s, %v", got, want, err)
	}
	var back chunk
	if err := back.ReadDocument(got); err != nil || !reflect.DeepEqual(back, c) {
		t.Errorf("read %+v, %v", back, err)
	}
}
