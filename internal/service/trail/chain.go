package trail

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// A line of a chain is one JSON object:
//
//	{"seq":7,"prev":"<mac of line 6>","event":{...},"mac":"<keyed hash>"}
//
// mac is HMAC-SHA256 over the chain's name and the line's own bytes before ,"mac". Its key is
// derived from the master key, so that who can only write files can make no line, and prev ties
// each line to the one before. A line holds an event, or a note of the chain about itself.
type line struct {
	Seq   uint64          `json:"seq"`
	Prev  string          `json:"prev"`
	Event json.RawMessage `json:"event,omitempty"`
	Note  *note           `json:"note,omitempty"`
	Mac   string          `json:"mac,omitempty"`
}

// note is what a chain says about itself.
type note struct {
	Kind string    `json:"kind"`
	Time time.Time `json:"time"`
	// Of a file's first line: which chain it belongs to, and the master key behind its hashes.
	Chain       string `json:"chain,omitempty"`
	Account     string `json:"account,omitempty"`
	MasterKeyID string `json:"masterKeyId,omitempty"`
	// Of records that could not be kept.
	Lost   int64  `json:"lost,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Of lines that are gone: by retention, or found missing at a start.
	UpTo uint64 `json:"upTo,omitempty"`
}

// Kinds of a [note].
const (
	noteFile    = "file"    // a file begins
	noteLost    = "lost"    // records were lost before this line
	noteRetired = "retired" // the retention is over for all lines up to UpTo
	noteBroken  = "broken"  // a start found the chain altered; it goes on from what was left
)

const (
	macMember = `,"mac":"`
	// firstPrev stands for the line before the first.
	firstPrev = "0000000000000000000000000000000000000000000000000000000000000000"
)

// maxLine bounds a line that is read back.
const maxLine = 2 << 20

// seal adds the keyed hash to a JSON object: {...} becomes {...,"mac":"..."}.
func seal(key []byte, chain string, object []byte) (sealed []byte, mac string) {
	body := object[:len(object)-1]
	mac = macOf(key, chain, body)
	sealed = make([]byte, 0, len(body)+len(macMember)+len(mac)+2)
	sealed = append(append(append(sealed, body...), macMember...), mac...)
	return append(sealed, '"', '}'), mac
}

// opened reports whether a sealed object is as it was sealed.
func opened(key []byte, chain string, sealed []byte) bool {
	i := bytes.LastIndex(sealed, []byte(macMember))
	if i < 0 || len(sealed) != i+len(macMember)+2*sha256.Size+2 {
		return false
	}
	want, err := hex.DecodeString(string(sealed[i+len(macMember) : len(sealed)-2]))
	if err != nil || !bytes.HasSuffix(sealed, []byte(`"}`)) {
		return false
	}
	have, _ := hex.DecodeString(macOf(key, chain, sealed[:i]))
	return hmac.Equal(have, want)
}

func macOf(key []byte, chain string, body []byte) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%d:%s", len(chain), chain)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

// links makes the lines of a chain, one after the other.
type links struct {
	key   []byte
	chain string
	seq   uint64 // of the last line
	mac   string // of the last line
}

// next returns the next line, with its end, and goes on behind it.
func (l *links) next(event json.RawMessage, n *note) ([]byte, error) {
	return l.append(make([]byte, 0, len(event)+lineExtra), event, n)
}

// lineExtra is about what a line has beside its event.
const lineExtra = 256

// append is next onto a buffer.
func (l *links) append(b []byte, event json.RawMessage, n *note) ([]byte, error) {
	start := len(b)
	b = strconv.AppendUint(append(b, `{"seq":`...), l.seq+1, 10)
	b = append(append(append(b, `,"prev":"`...), l.mac...), `",`...)
	if n == nil {
		b = append(append(b, `"event":`...), event...)
	} else {
		text, err := json.Marshal(n)
		if err != nil {
			return nil, err
		}
		b = append(append(b, `"note":`...), text...)
	}
	mac := macOf(l.key, l.chain, b[start:])
	l.seq, l.mac = l.seq+1, mac
	return append(append(append(b, macMember...), mac...), "\"}\n"...), nil
}
