package sigv4

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// AWS's example of a chunked upload (Amazon S3 API reference, "Transferring payload
// in multiple chunks" and "Including trailing headers"): 65 KiB of the letter a.
const (
	exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	exampleSeed   = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
)

func exampleRequest() Request {
	return Request{Method: "PUT", Path: "/examplebucket/chunkObject.txt", Host: "s3.amazonaws.com", Header: http.Header{
		"X-Amz-Date": {"20130524T000000Z"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"}, "Content-Encoding": {"aws-chunked"},
		"X-Amz-Content-Sha256": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, "X-Amz-Decoded-Content-Length": {"66560"}, "Content-Length": {"66824"},
		"Authorization": {"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
			"SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class," +
			"Signature=" + exampleSeed},
	}}
}

func exampleBody(signatures ...string) string {
	a := strings.Repeat("a", 65536)
	return "10000;chunk-signature=" + signatures[0] + "\r\n" + a + "\r\n" +
		"400;chunk-signature=" + signatures[1] + "\r\n" + a[:1024] + "\r\n" +
		"0;chunk-signature=" + signatures[2] + "\r\n"
}

func chunksOf(t testing.TB, r Request, secret string, body io.Reader) (*Chunks, error) {
	t.Helper()
	a, err := Parse(r)
	if err != nil {
		return nil, err
	}
	p, err := a.PayloadOf(r, AllowChunked, true)
	if err != nil {
		return nil, err
	}
	if err := a.Verify(r, p.Hash, secret, a.Time); err != nil {
		return nil, err
	}
	return a.Chunks(nil, body, p, secret), nil
}

func TestChunks_example(t *testing.T) {
	t.Parallel()
	signatures := []string{
		"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
		"b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
	}
	body := exampleBody(signatures...) + "\r\n"
	if len(body) != 66824 {
		t.Fatalf("the example is %d bytes", len(body))
	}
	c, err := chunksOf(t, exampleRequest(), exampleSecret, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != strings.Repeat("a", 66560) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	for i := range signatures { // each of the chain counts
		bad := append([]string(nil), signatures...)
		bad[i] = flip(bad[i])
		c, err := chunksOf(t, exampleRequest(), exampleSecret, strings.NewReader(exampleBody(bad...)+"\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); codeOf(err) != "SignatureDoesNotMatch" {
			t.Errorf("altered signature %d: %v", i, err)
		}
	}
}

func TestChunks_exampleTrailer(t *testing.T) {
	t.Parallel()
	r := exampleRequest()
	r.Header = http.Header{
		"X-Amz-Date": {"20130524T000000Z"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"}, "Content-Encoding": {"aws-chunked"},
		"X-Amz-Content-Sha256": {"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"}, "X-Amz-Decoded-Content-Length": {"66560"}, "X-Amz-Trailer": {"x-amz-checksum-crc32c"},
		"Authorization": {"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request," +
			"SignedHeaders=content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer," +
			"Signature=106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"},
	}
	body := exampleBody("b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2", "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
		"2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992")
	const checksum, signature = "x-amz-checksum-crc32c:sOO8/Q==\r\n", "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
	for name, tt := range map[string]struct{ trailer, code string }{
		"as it is":            {checksum + signature + "\r\n", ""},
		"no trailer":          {"\r\n", "IncompleteBody"},
		"no signature":        {checksum + "\r\n", "SignatureDoesNotMatch"},
		"altered signature":   {checksum + strings.Replace(signature, "d81f", "d81e", 1) + "\r\n", "SignatureDoesNotMatch"},
		"altered checksum":    {strings.Replace(checksum, "sOO8", "sOO9", 1) + signature + "\r\n", "SignatureDoesNotMatch"},
		"another header":      {"x-amz-meta-a:b\r\n" + checksum + signature + "\r\n", "IncompleteBody"},
		"checksum twice":      {checksum + checksum + signature + "\r\n", "IncompleteBody"},
		"signature first":     {signature + checksum + "\r\n", "IncompleteBody"},
		"nothing at the end":  {checksum + signature, "IncompleteBody"},
		"more at the end":     {checksum + signature + "\r\nGET / HTTP/1.1\r\n", "IncompleteBody"},
		"bare line feeds":     {strings.ReplaceAll(checksum+signature+"\r\n", "\r", ""), "IncompleteBody"},
		"an endless trailer":  {"x-amz-checksum-crc32c:" + strings.Repeat("A", 1<<20), "IncompleteBody"},
		"an empty checksum":   {"x-amz-checksum-crc32c:\r\n" + signature + "\r\n", "IncompleteBody"},
		"upper case and tabs": {"X-Amz-Checksum-Crc32c:\tsOO8/Q== \r\n" + signature + "\r\n", ""},
	} {
		c, err := chunksOf(t, r, exampleSecret, strings.NewReader(body+tt.trailer))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c)
		if codeOf(err) != tt.code {
			t.Errorf("%s: %v, want %q", name, err, tt.code)
		}
		if tt.code == "" && (len(got) != 66560 || c.Trailer().Get("X-Amz-Checksum-Crc32c") != "sOO8/Q==") {
			t.Errorf("%s: %d bytes, trailer %v", name, len(got), c.Trailer())
		}
	}
}

func codeOf(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	}
	return err.Error()
}

// chunkSigner is an independent writer of the coding, from the text of the API reference.
type chunkSigner struct {
	secret, seed, form string
	trailer            string // a CRC-32 of the payload
	sizes              []int
}

func (s chunkSigner) encode(payload string) string {
	hm := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		io.WriteString(h, text)
		return h.Sum(nil)
	}
	hx := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	day := testTime.Format("20060102")
	key := hm(hm(hm(hm([]byte("AWS4"+s.secret), day), "us-east-1"), "s3"), "aws4_request")
	head := testTime.Format("20060102T150405Z") + "\n" + day + "/us-east-1/s3/aws4_request\n"
	previous, out := s.seed, ""
	signed := !strings.Contains(s.form, "UNSIGNED")
	rest := payload
	for _, n := range append(append([]int(nil), s.sizes...), -1, 0) {
		if n < 0 {
			n = len(rest)
			if n == 0 {
				continue
			}
		}
		piece := rest[:n]
		rest = rest[n:]
		out += fmt.Sprintf("%x", n)
		if signed {
			previous = hex.EncodeToString(hm(key, "AWS4-HMAC-SHA256-PAYLOAD\n"+head+previous+"\n"+hx("")+"\n"+hx(piece)))
			out += ";chunk-signature=" + previous
		}
		if out += "\r\n"; n > 0 {
			out += piece + "\r\n"
		}
	}
	if strings.HasSuffix(s.form, "-TRAILER") {
		sum := base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(payload))))
		line := "x-amz-checksum-crc32:" + sum
		out += line + "\r\n"
		if signed {
			out += "x-amz-trailer-signature:" + hex.EncodeToString(hm(key, "AWS4-HMAC-SHA256-TRAILER\n"+head+previous+"\n"+hx(line+"\n"))) + "\r\n"
		}
	}
	return out + "\r\n"
}

// upload is a signed request of a form and the independent signer of its body.
func upload(form string, length int) (Request, chunkSigner) {
	r := Request{Method: "PUT", Path: "/b/k", Host: "s3.example", Header: http.Header{
		"Content-Encoding": {"aws-chunked"}, "X-Amz-Decoded-Content-Length": {fmt.Sprint(length)},
	}}
	if strings.HasSuffix(form, "-TRAILER") {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
	}
	Sign(&r, form, testCred, "us-east-1", "s3", testTime)
	auth := r.Header.Get("Authorization")
	return r, chunkSigner{secret: testCred.SecretAccessKey, seed: auth[len(auth)-64:], form: form}
}

var forms = []string{"STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}

// Whatever the chunks and however the bytes arrive, what was sent is read, and
// nothing that was altered, cut or put in its place.
func TestChunks_forms(t *testing.T) {
	t.Parallel()
	payload := strings.Repeat("0123456789abcdef", 300)
	for _, form := range forms {
		for _, sizes := range [][]int{nil, {1}, {4799}, {1024, 1024, 1}, {2000, 1, 2000}} {
			r, s := upload(form, len(payload))
			s.sizes = sizes
			body := s.encode(payload)
			for name, in := range map[string]io.Reader{"whole": strings.NewReader(body), "bytes": iotest.OneByteReader(strings.NewReader(body)), "halves": iotest.HalfReader(strings.NewReader(body))} {
				c, err := chunksOf(t, r, testCred.SecretAccessKey, in)
				if err != nil {
					t.Fatal(err)
				}
				if err := iotest.TestReader(c, []byte(payload)); err != nil {
					t.Fatalf("%s %v %s: %v", form, sizes, name, err)
				}
			}
			for i := 0; i < len(body); i += 7 {
				for name, altered := range map[string]string{
					"cut": body[:i], "altered": body[:i] + string(body[i]^1) + body[i+1:], "longer": body[:i] + "0" + body[i:], "shorter": body[:i] + body[i+1:],
				} {
					if name == "longer" && body[i] == '0' && strings.HasPrefix(body[i:], "0;") && len(altered) > 0 {
						continue // a size with a leading zero is the same size
					}
					c, err := chunksOf(t, r, testCred.SecretAccessKey, strings.NewReader(altered))
					if err != nil {
						t.Fatal(err)
					}
					if got, err := io.ReadAll(c); err == nil && string(got) != payload {
						t.Fatalf("%s %v: %s at %d was accepted as %d bytes", form, sizes, name, i, len(got))
					} else if err != nil && form != forms[2] && !strings.HasPrefix(payload, string(got)) {
						t.Fatalf("%s: unverified bytes were given", form)
					}
				}
			}
		}
	}
}

func TestChunks_refuses(t *testing.T) {
	t.Parallel()
	payload := strings.Repeat("x", 3000)
	sign := func(form string, length int, sizes ...int) (Request, string) {
		r, s := upload(form, length)
		s.sizes = sizes
		return r, s.encode(payload)
	}
	swap := func(body string) string { // the two chunks of equal size
		first, rest, _ := strings.Cut(body, "\r\n3e8;")
		return "3e8;" + strings.Replace(rest, "\r\n3e8;", "\r\n"+first+"\r\n3e8;", 1)
	}
	for name, tt := range map[string]struct {
		form   string
		length int
		alter  func(string) string
		code   string
	}{
		"declared longer":             {forms[0], 3001, nil, "IncompleteBody"},
		"declared shorter":            {forms[0], 2999, nil, "IncompleteBody"},
		"unsigned, declared longer":   {forms[2], 3001, nil, "IncompleteBody"},
		"unsigned, declared shorter":  {forms[2], 2999, nil, "IncompleteBody"},
		"chunks swapped":              {forms[0], 3000, swap, "SignatureDoesNotMatch"},
		"a chunk left out":            {forms[0], 3000, func(b string) string { return b[strings.Index(b, "\r\n3e8;")+2:] }, "SignatureDoesNotMatch"},
		"unsigned chunks for signed":  {forms[0], 3000, func(string) string { _, b := sign(forms[2], 3000); return b }, "SignatureDoesNotMatch"},
		"signed chunks for unsigned":  {forms[2], 3000, func(string) string { _, b := sign(forms[0], 3000); return b }, "SignatureDoesNotMatch"},
		"another checksum":            {forms[2], 3000, func(b string) string { return strings.Replace(b, "crc32:", "crc32:AAAA", 1) }, "BadDigest"},
		"altered payload":             {forms[2], 3000, func(b string) string { return strings.Replace(b, "x", "y", 1) }, "BadDigest"},
		"a chunk of five MiB":         {forms[0], 5 << 20, func(string) string { return "500000;chunk-signature=" + strings.Repeat("0", 64) + "\r\n" }, "IncompleteBody"},
		"a size that overflows":       {forms[0], 3000, func(string) string { return "ffffffffffffffff;chunk-signature=0\r\n" }, "IncompleteBody"},
		"a negative size":             {forms[0], 3000, func(string) string { return "-1;chunk-signature=0\r\n" }, "IncompleteBody"},
		"a size with a plus":          {forms[2], 3000, func(b string) string { return "+" + b }, "IncompleteBody"},
		"nothing":                     {forms[0], 3000, func(string) string { return "" }, "IncompleteBody"},
		"an endless line":             {forms[0], 3000, func(string) string { return strings.Repeat("0", 1<<20) }, "IncompleteBody"},
		"another extension of a size": {forms[0], 3000, func(b string) string { return strings.Replace(b, ";chunk", ";a=b;chunk", 1) }, "IncompleteBody"},
	} {
		r, body := sign(tt.form, tt.length, 1000, 1000)
		if tt.alter != nil {
			body = tt.alter(body)
		}
		c, err := chunksOf(t, r, testCred.SecretAccessKey, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(c)
		if codeOf(err) != tt.code {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
		if _, again := c.Read(make([]byte, 8)); codeOf(again) != tt.code {
			t.Errorf("%s: read again: %v", name, again)
		}
	}
	r, body := sign(forms[0], 3000)
	if _, err := chunksOf(t, r, "another secret", strings.NewReader(body)); err == nil {
		t.Error("another secret was accepted")
	}
	if _, err := io.ReadAll(Authorization{}.Chunks(nil, strings.NewReader(body), Payload{Form: FormChunked, Length: 3000}, "")); err == nil {
		t.Error("no secret was accepted")
	}
	broken := errors.New("the connection broke")
	c, _ := chunksOf(t, r, testCred.SecretAccessKey, io.MultiReader(strings.NewReader(body[:100]), iotest.ErrReader(broken)))
	if _, err := io.ReadAll(c); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	// Published check values of the text 123456789.
	for name, want := range map[string]string{
		"crc32": "cbf43926", "crc32c": "e3069283", "crc64nvme": "ae8b14860a799888", "sha1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
		"sha256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225", "md5": "",
	} {
		h := checksum(checksumPrefix + name)
		if h == nil {
			if want != "" {
				t.Errorf("%s: none", name)
			}
			continue
		}
		io.WriteString(h, "123456789")
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// Memory does not grow with the body.
func TestChunks_bounded(t *testing.T) {
	r, s := upload(forms[0], 8<<20)
	for range 127 {
		s.sizes = append(s.sizes, 64<<10)
	}
	body := []byte(s.encode(strings.Repeat("z", 8<<20)))
	a, _ := Parse(r)
	p, _ := a.PayloadOf(r, AllowChunked, true)
	c := a.Chunks(nil, bytes.NewReader(body), p, testCred.SecretAccessKey)
	if n, err := io.Copy(io.Discard, c); n != 8<<20 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if cap(c.chunk) > 256<<10 {
		t.Errorf("%d bytes are held for chunks of 64 KiB", cap(c.chunk))
	}
}

func FuzzChunks(f *testing.F) {
	payload := strings.Repeat("fuzz", 20)
	for _, form := range forms {
		_, s := upload(form, len(payload))
		s.sizes = []int{10, 20}
		f.Add([]byte(s.encode(payload)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, form := range forms {
			r, _ := upload(form, len(payload))
			c, err := chunksOf(t, r, testCred.SecretAccessKey, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(c)
			switch {
			case form == forms[2] && err == nil && len(got) != len(payload):
				t.Fatalf("%d bytes", len(got))
			case form != forms[2] && !strings.HasPrefix(payload, string(got)):
				t.Fatalf("%s gave %q for %q", form, got, body)
			}
		}
	})
}

func BenchmarkChunks(b *testing.B) {
	r, s := upload(forms[0], 1<<20)
	for range 15 {
		s.sizes = append(s.sizes, 64<<10)
	}
	body := []byte(s.encode(strings.Repeat("z", 1<<20)))
	a, _ := Parse(r)
	p, _ := a.PayloadOf(r, AllowChunked, true)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.Copy(io.Discard, a.Chunks(nil, bytes.NewReader(body), p, testCred.SecretAccessKey)); err != nil {
			b.Fatal(err)
		}
	}
}
