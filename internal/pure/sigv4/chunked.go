package sigv4

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	trailerSignature = "x-amz-trailer-signature"
	// maxChunk bounds a signed chunk, which is held until its signature is verified.
	// AWS's SDKs send 64 KiB to 1 MiB.
	maxChunk = 4 << 20
	// maxLine bounds the head of a chunk and a line of the trailer.
	maxLine = 1 << 10
)

// Chunks reads a body in the aws-chunked coding and gives what it holds.
//
// A signed chunk is verified before a byte of it is given; an unsigned one is
// given as it comes, and the checksum after it decides at the end. Whoever reads
// must not act on what was read before Read returned [io.EOF]: only then the
// chain of signatures is complete, the length is the declared one and the trailer
// has been verified. Any other end is an [*Error], and every Read gives it again.
type Chunks struct {
	r        *bufio.Reader
	a        Authorization
	payload  Payload
	key      [sha256.Size]byte
	previous string // signature before this one
	sum      hash.Hash
	sumName  string

	held    []byte // what is verified and not yet given
	chunk   []byte // its buffer
	left    int64  // of an unsigned chunk
	total   int64
	trailer http.Header
	err     error
}

// Chunks returns a reader of the decoded body. The signature of the request, over
// p.Hash, must have been verified with the same secret.
func (a Authorization) Chunks(keys *Keys, body io.Reader, p Payload, secret string) *Chunks {
	scope := keyScope{secret, a.Date, a.Region, a.Service}
	key, known := keys.get(scope)
	if !known {
		key = deriveKey(scope)
	}
	c := &Chunks{r: bufio.NewReaderSize(body, maxLine), a: a, payload: p, key: key, previous: a.Signature, trailer: http.Header{}}
	if secret == "" || p.Form < FormChunked {
		c.err = mismatch(mismatchSentence)
	}
	for _, name := range p.Trailers {
		if h := checksum(name); h != nil && c.err == nil {
			if c.sum != nil {
				c.err = incomplete("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
			}
			c.sum, c.sumName = h, name
		}
	}
	if p.Form == FormUnsignedTrailer && c.sum == nil && c.err == nil {
		c.err = incomplete("An unsigned chunked payload needs a checksum in its trailer.")
	}
	return c
}

// Trailer is what came after the last chunk. It is complete once Read returned io.EOF.
func (c *Chunks) Trailer() http.Header { return c.trailer }

// Read implements [io.Reader].
func (c *Chunks) Read(p []byte) (int, error) {
	for len(c.held) == 0 && c.left == 0 && c.err == nil {
		c.err = c.next()
	}
	switch {
	case c.err != nil:
		return 0, c.err
	case len(p) == 0:
		return 0, nil
	case len(c.held) > 0:
		n := copy(p, c.held)
		c.held = c.held[n:]
		return n, nil
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	c.sum.Write(p[:n])
	switch {
	case err != nil:
		c.err = cut(err)
	case c.left == 0:
		c.err = c.lineEnd()
	}
	return n, nil
}

// next reads the head of the next chunk and, when it is signed, the chunk; after
// the last one the trailer.
func (c *Chunks) next() error {
	line, err := c.line()
	if err != nil {
		return err
	}
	size, given, signed := strings.Cut(line, ";chunk-signature=")
	n, err := strconv.ParseUint(size, 16, 62)
	if err != nil || strings.Trim(size, "0123456789abcdefABCDEF") != "" {
		return malformed("the size of a chunk is not a hexadecimal number")
	}
	if signed != (c.payload.Form != FormUnsignedTrailer) {
		return mismatch("The chunks of this request are not signed as it declares.")
	}
	if c.total += int64(n); c.total > c.payload.Length {
		return malformed("the body is longer than x-amz-decoded-content-length")
	}
	switch {
	case signed && n > maxChunk:
		return malformed("a signed chunk is larger than " + strconv.Itoa(maxChunk) + " bytes")
	case signed:
		if err := c.verified(int(n), given); err != nil || n > 0 {
			return err
		}
	case n > 0:
		c.left = int64(n)
		return nil
	}
	return c.end()
}

// verified reads a signed chunk and checks its place in the chain.
func (c *Chunks) verified(n int, given string) error {
	// The buffer grows with what arrives, not with what was announced.
	buf := bytes.NewBuffer(c.chunk[:0])
	if _, err := io.CopyN(buf, c.r, int64(n)); err != nil {
		return cut(err)
	}
	c.chunk = buf.Bytes()
	sum := sha256.Sum256(c.chunk)
	if err := c.check("-PAYLOAD\n", EmptyPayload+"\n", sum[:], given); err != nil {
		return err
	}
	if n == 0 {
		return nil // what follows is the trailer, or the last line
	}
	if c.sum != nil {
		c.sum.Write(c.chunk)
	}
	c.held = c.chunk
	return c.lineEnd()
}

// check compares a signature of the chain with ours, and moves on to it.
func (c *Chunks) check(kind, more string, sum []byte, given string) error {
	b := make([]byte, 0, 384)
	b = append(b, Algorithm+kind...)
	b = append(append(b, c.a.stamp+"\n"+c.a.Date+"/"+c.a.Region+"/"+c.a.Service+"/"+terminator+"\n"...), c.previous...)
	b = append(append(b, '\n'), more...)
	b = hex.AppendEncode(b, sum)
	m := hmac.New(sha256.New, c.key[:])
	m.Write(b)
	want := hex.EncodeToString(m.Sum(nil))
	if subtle.ConstantTimeCompare([]byte(want), []byte(given)) != 1 {
		return mismatch(mismatchSentence)
	}
	c.previous = want
	return nil
}

// end reads what follows the last chunk: the trailer, an empty line, and nothing.
func (c *Chunks) end() error {
	if c.total != c.payload.Length {
		return malformed("the body is shorter than x-amz-decoded-content-length")
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	if _, err := c.r.ReadByte(); err == nil {
		return malformed("something follows the last chunk")
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

// readTrailer reads the announced headers, all of them and no others, their
// signature and the empty line at the end. The chain's last signature covers
// their names in lower case and their values, in the order in which they came.
func (c *Chunks) readTrailer() error {
	var canonical, given string
	for {
		line, err := c.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		name, value, ok := strings.Cut(line, ":")
		name, value = strings.ToLower(name), strings.Trim(value, " \t")
		switch {
		case !ok || given != "": // the signature comes last
			return malformed("the trailer is not a list of headers")
		case name == trailerSignature && c.payload.Form == FormChunkedTrailer && value != "":
			given = value
		case !slices.Contains(c.payload.Trailers, name) || c.trailer.Get(name) != "" || value == "":
			return malformed("the trailer holds a header that x-amz-trailer does not announce, or holds it twice")
		default:
			c.trailer.Set(name, value)
			canonical += name + ":" + value + "\n"
		}
	}
	if len(c.trailer) != len(c.payload.Trailers) {
		return malformed("the trailer lacks a header that x-amz-trailer announces")
	}
	if c.payload.Form == FormChunkedTrailer {
		sum := sha256.Sum256([]byte(canonical))
		if err := c.check("-TRAILER\n", "", sum[:], given); err != nil {
			return err
		}
	}
	if c.sum != nil && base64.StdEncoding.EncodeToString(c.sum.Sum(nil)) != c.trailer.Get(c.sumName) {
		algorithm := strings.ToUpper(strings.TrimPrefix(c.sumName, checksumPrefix))
		return &Error{Code: "BadDigest", Message: "The " + algorithm + " you specified did not match the calculated checksum."}
	}
	return nil
}

// line reads a line that ends with CR LF.
func (c *Chunks) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", malformed("a line is too long")
	case err != nil:
		return "", cut(err)
	case len(b) < 2 || b[len(b)-2] != '\r' || bytes.IndexByte(b, '\r') != len(b)-2:
		return "", malformed("a line does not end with CR LF")
	}
	return string(b[:len(b)-2]), nil
}

func (c *Chunks) lineEnd() error {
	line, err := c.line()
	if err == nil && line != "" {
		err = malformed("a chunk is longer than its size")
	}
	if err != nil {
		c.held = nil
	}
	return err
}

// cut gives the end of a body before its end its code; other errors of the
// connection stay what they are.
func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Code: "IncompleteBody", Message: "The request body terminated unexpectedly"}
	}
	return err
}

func malformed(why string) *Error {
	return &Error{Code: "IncompleteBody", Message: "The chunked body of the request is malformed: " + why + "."}
}
