package jsonstring

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

const every = "\x00\x1f\"\\\b\f\n\r\t<script>&\u2028\u2029\x7f \xff\xc0ü\U0001F600\xed\xa0\x80"

// FuzzAppend: strings are written as encoding/json does it, and are read as they were.
func FuzzAppend(f *testing.F) {
	f.Add(every)
	f.Add("\xe2\x80")
	f.Add("sixteen and more\x7f bytes, \x1fand one")
	f.Fuzz(func(t *testing.T, s string) {
		html, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := AppendHTML([]byte("x"), s); string(got) != "x"+string(html) {
			t.Errorf("for HTML: got %s, want x%s", got, html)
		}
		var buf bytes.Buffer
		e := json.NewEncoder(&buf)
		e.SetEscapeHTML(false)
		if err := e.Encode(s); err != nil {
			t.Fatal(err)
		}
		want := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
		if got := Append([]byte("x"), s); string(got) != "x"+string(want) {
			t.Errorf("got %s, want x%s", got, want)
		}
		n := Plain([]byte(s))
		if escaped := AppendInside(nil, s[n:]); s[n:] != "" && s[n] < utf8.RuneSelf && escaped[0] != '\\' || string(AppendInside(nil, s[:n])) != s[:n] {
			t.Errorf("%d bytes are plain", n)
		}
		if got := AppendInside(nil, s); string(got) != string(want[1:len(want)-1]) {
			t.Errorf("inside: got %s, want %s without its quotes", got, want)
		}
	})
}

func TestAllocs(t *testing.T) {
	b := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { b = AppendHTML(Append(b[:0], every), every) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
