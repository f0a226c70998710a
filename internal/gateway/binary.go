package gateway

import (
	"encoding/base64"
	"io"
)

// encodeAnswer gives what an integration's answer passes on as it comes to a client that reads
// text as Base64, where it is of one of the API's binary types (API Gateway Developer Guide, "Content type
// conversions in API Gateway"). The answers of functions say by themselves what they are, and those of the
// other integrations are mapped.
func (x *Exchange) encodeAnswer() {
	if x.reply.stream == nil || len(x.snap.binary) == 0 || x.reply.length == 0 || bodyless(x.reply.status) || x.wantsBinary() {
		return
	}
	for _, f := range x.reply.fields {
		if alias(f.Name) != "content-type" {
			continue
		}
		if x.snap.isBinary(f.Value) {
			x.reply.stream = &base64Reader{from: x.reply.stream}
			if x.reply.length > 0 {
				x.reply.length = int64(base64.StdEncoding.EncodedLen(int(x.reply.length)))
			}
		}
		return
	}
}

// base64Reader encodes what it reads.
type base64Reader struct {
	from io.Reader
	raw  [3 << 10]byte
	n    int // bytes in raw that wait for those that make three of them
	text [4 << 10]byte
	rest []byte // of text
	err  error
}

// Read gives encoded text.
func (b *base64Reader) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		var n int
		n, b.err = b.from.Read(b.raw[b.n:])
		b.n += n
		whole := b.n - b.n%3
		if b.err == io.EOF {
			whole = b.n
		}
		base64.StdEncoding.Encode(b.text[:], b.raw[:whole])
		b.rest = b.text[:base64.StdEncoding.EncodedLen(whole)]
		b.n = copy(b.raw[:], b.raw[whole:b.n])
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}
