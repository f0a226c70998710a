package userpool

import (
	"encoding/json"
	"strconv"
	"time"

	"moat/internal/pure/jsonstring"
)

// AppendDocument implements [store.Document]: as encoding/json does it, without its reflection.
func (x *Session) AppendDocument(b []byte) ([]byte, error) {
	var err error
	text := func(name, value string) { b = jsonstring.AppendHTML(append(b, name...), value) }
	at := func(name string, t time.Time) {
		if err == nil {
			b, err = appendTime(append(b, name...), t)
		}
	}
	text(`{"ID":`, x.ID)
	text(`,"Pool":`, x.Pool)
	text(`,"User":`, x.User)
	text(`,"Sub":`, x.Sub)
	text(`,"Client":`, x.Client)
	at(`,"CreatedAt":`, x.CreatedAt)
	at(`,"ExpiresAt":`, x.ExpiresAt)
	text(`,"Scope":`, x.Scope)
	b = strconv.AppendInt(append(b, `,"Epoch":`...), int64(x.Epoch), 10)
	b = strconv.AppendUint(append(b, `,"Generation":`...), uint64(x.Generation), 10)
	at(`,"RotatedAt":`, x.RotatedAt)
	b = strconv.AppendBool(append(b, `,"Revoked":`...), x.Revoked)
	text(`,"Device":`, x.Device)
	return append(b, '}'), err
}

// appendTime writes a time as [time.Time.MarshalJSON] does.
func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

// ReadDocument implements [store.Document].
func (x *Session) ReadDocument(doc []byte) error {
	type plain Session
	return json.Unmarshal(doc, (*plain)(x))
}
