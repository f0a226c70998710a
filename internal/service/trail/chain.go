package trail

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
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
	return string(newMAC(key, chain).append(nil, body))
}

// mac makes the keyed hashes of a chain, one after the other.
type mac struct {
	hash  hash.Hash
	chain []byte // what every hash begins with
	sum   [sha256.Size]byte
}

func newMAC(key []byte, chain string) *mac {
	return &mac{hash: hmac.New(sha256.New, key), chain: fmt.Appendf(nil, "%d:%s", len(chain), chain)}
}

// append appends the hash of a body, in hexadecimal.
func (m *mac) append(b, body []byte) []byte {
	m.hash.Reset()
	m.hash.Write(m.chain)
	m.hash.Write(body)
	return hex.AppendEncode(b, m.hash.Sum(m.sum[:0]))
}

// links makes the lines of a chain, one after the other.
type links struct {
	hash *mac
	name string // of the chain
	seq  uint64 // of the last line
	mac  string // of the last line
}

// newLinks begins a chain.
func newLinks(key []byte, chain string) links {
	return links{hash: newMAC(key, chain), name: chain, mac: firstPrev}
}

// append appends the next line, whose content is an event or a note, and goes on behind it.
func (l *links) append(b []byte, member string, content []byte) []byte {
	start := len(b)
	b = strconv.AppendUint(append(b, `{"seq":`...), l.seq+1, 10)
	b = append(append(append(b, `,"prev":"`...), l.mac...), `","`...)
	b = append(append(append(b, member...), `":`...), content...)
	end := len(b)
	b = append(b, macMember...)
	b = l.hash.append(b, b[start:end])
	l.seq, l.mac = l.seq+1, string(b[end+len(macMember):])
	return append(b, "\"}\n"...)
}
