package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestPayloadOf(t *testing.T) {
	t.Parallel()
	sum := HashOf([]byte("Param1=value1"))
	const chunked, trailer, unsigned = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	all := AllowUnsigned | AllowChunked
	for _, tt := range []struct {
		name, header string
		query        string
		presigned    bool
		permit       Payloads
		plain        bool
		trailers     string
		want         Form
		hash         string
		refused      bool
	}{
		{name: "no header"},
		{name: "a hash", header: sum, hash: sum},
		{name: "a hash in the query", query: "X-Amz-Content-Sha256=" + sum, presigned: true, hash: sum},
		{name: "a hash in the query of the header form is a parameter like any other", query: "X-Amz-Content-Sha256=" + sum},
		{name: "header and query", header: sum, query: "X-Amz-Content-Sha256=" + sum, presigned: true, refused: true},
		{name: "an empty header", header: " ", refused: true},
		{name: "upper case", header: strings.ToUpper(sum), refused: true},
		{name: "unsigned, not permitted", header: UnsignedPayload, refused: true},
		{name: "unsigned, chunks permitted", header: UnsignedPayload, permit: AllowChunked, refused: true},
		{name: "unsigned", header: UnsignedPayload, permit: AllowUnsigned, want: FormUnsigned, hash: UnsignedPayload},
		{name: "unsigned without TLS", header: UnsignedPayload, permit: AllowUnsigned, plain: true, refused: true},
		{name: "presigned unsigned", presigned: true, permit: AllowUnsigned, plain: true, want: FormUnsigned, hash: UnsignedPayload},
		{name: "presigned unsigned, in words", presigned: true, query: "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", permit: AllowUnsigned, want: FormUnsigned, hash: UnsignedPayload},
		{name: "presigned unsigned, not permitted", presigned: true, query: "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD", refused: true},
		{name: "presigned, not permitted: the hash of the body", presigned: true},
		{name: "chunked", header: chunked, permit: AllowChunked, plain: true, want: FormChunked, hash: chunked},
		{name: "chunked, not permitted", header: chunked, refused: true},
		{name: "chunked, unsigned permitted", header: chunked, permit: AllowUnsigned, refused: true},
		{name: "chunked and presigned", header: chunked, presigned: true, permit: all, refused: true},
		{name: "chunked with a trailer that it does not name", header: chunked, permit: all, trailers: "x-amz-checksum-crc32", refused: true},
		{name: "trailer", header: trailer, permit: all, plain: true, trailers: "x-amz-checksum-crc32", want: FormChunkedTrailer, hash: trailer},
		{name: "trailer of nothing", header: trailer, permit: all, refused: true},
		{name: "trailer of its own signature", header: trailer, permit: all, trailers: "x-amz-trailer-signature", refused: true},
		{name: "trailer, not permitted", header: trailer, trailers: "x-amz-checksum-crc32", refused: true},
		{name: "unsigned trailer", header: unsigned, permit: AllowChunked, trailers: "x-amz-checksum-crc32", want: FormUnsignedTrailer, hash: unsigned},
		{name: "unsigned trailer without TLS", header: unsigned, permit: all, plain: true, trailers: "x-amz-checksum-crc32", refused: true},
		{name: "unsigned trailer, not permitted", header: unsigned, trailers: "x-amz-checksum-crc32", refused: true},
		{name: "SigV4A chunks", header: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD", permit: all, refused: true},
		{name: "events", header: "STREAMING-AWS4-HMAC-SHA256-EVENTS", permit: all, refused: true},
		{name: "unknown", header: "TRUST-ME", permit: all, refused: true},
		{name: "lower case", header: strings.ToLower(chunked), permit: all, refused: true},
	} {
		r := Request{Header: http.Header{"X-Amz-Decoded-Content-Length": {"5"}}, RawQuery: tt.query}
		if tt.header != "" {
			r.Header.Set("X-Amz-Content-Sha256", strings.TrimSpace(tt.header))
		}
		if tt.trailers != "" {
			r.Header.Set("X-Amz-Trailer", tt.trailers)
		}
		a := Authorization{Presigned: tt.presigned}
		got, err := a.PayloadOf(r, tt.permit, !tt.plain)
		if (err != nil) != tt.refused || err == nil && (got.Form != tt.want || got.Hash != tt.hash) {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
		if tt.trailers != "" && err == nil && !slices.Equal(got.Trailers, []string{tt.trailers}) {
			t.Errorf("%s: trailers %v", tt.name, got.Trailers)
		}
	}
	for _, length := range [][]string{nil, {""}, {"-1"}, {"05"}, {"5", "5"}, {"9223372036854775807"}} {
		r := Request{Header: http.Header{"X-Amz-Content-Sha256": {chunked}, "X-Amz-Decoded-Content-Length": length}}
		if p, err := (&Authorization{}).PayloadOf(r, all, true); err == nil {
			t.Errorf("decoded length %q: %+v", length, p)
		}
	}
	twice := Request{Header: http.Header{"X-Amz-Content-Sha256": {sum, sum}}}
	if _, err := (&Authorization{}).PayloadOf(twice, all, true); err == nil {
		t.Error("two hashes were accepted")
	}
}

func TestPayloadHash(t *testing.T) {
	t.Parallel()
	body := []byte("Param1=value1")
	const sum = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"
	for header, want := range map[string]string{"": sum, sum: sum, strings.Repeat("0", 64): "", UnsignedPayload: "", EmptyPayload: ""} {
		r := Request{Header: http.Header{}}
		if header != "" {
			r.Header.Set("X-Amz-Content-Sha256", header)
		}
		if got, err := (&Authorization{}).PayloadHash(r, body); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", header, got, err, want)
		}
	}
}
