package userpool

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
	"testing/quick"
	"time"

	"moat/internal/store"
)

// A session is stored as encoding/json would write it, and read again as it was.
func TestSession_document(t *testing.T) {
	var _ store.Document = (*Session)(nil)
	type plain Session
	same := func(x Session) bool {
		want, err := json.Marshal(plain(x))
		if err != nil {
			t.Fatal(err)
		}
		got, err := x.AppendDocument([]byte("-"))
		if err != nil || string(got) != "-"+string(want) {
			t.Errorf("got %s, %v\nwant %s", got, err, want)
		}
		var back Session
		if err := back.ReadDocument(want); err != nil || !reflect.DeepEqual(back, x) {
			t.Errorf("read as %+v, %v\nwant %+v", back, err, x)
		}
		return !t.Failed()
	}
	same(Session{})
	text := `{"ID":"a","Pool":"old","Scope":"s","Epoch":2,"Gone":1}` // of a Moat that had fewer fields, and others
	var old Session
	if err := old.ReadDocument([]byte(text)); err != nil || old.Pool != "old" || old.Epoch != 2 {
		t.Errorf("%s is read as %+v, %v", text, old, err)
	}
	if err := quick.Check(func(seed uint64) bool {
		var x Session
		fillAll(t, rand.New(rand.NewPCG(seed, 2)), reflect.ValueOf(&x).Elem())
		return same(x)
	}, nil); err != nil {
		t.Error(err)
	}
	far := Session{ExpiresAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}
	if _, err := far.AppendDocument(nil); err == nil {
		t.Error("a year of five digits, which no JSON document of a time holds, is written")
	}
	x, b := Session{ID: "a", CreatedAt: time.Unix(1, 0)}, make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { b, _ = x.AppendDocument(b[:0]) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
