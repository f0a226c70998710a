package http1

import (
	"errors"
	"strconv"
)

// Error is a message that breaks the protocol, or a limit. A server answers it with
// Status and closes the connection; a client gives the connection up.
type Error struct {
	Status int
	Reason string
}

// Error gives the reason.
func (e *Error) Error() string { return "http1: " + e.Reason }

// Refusals of a head.
var (
	errStartLine   = &Error{400, "the first line is none of HTTP/1.1"}
	errMethod      = &Error{400, "the method is no token, or too long"}
	errVersion     = &Error{505, "the version is not 1.0 or 1.1"}
	errTarget      = &Error{400, "the target holds what a URI cannot"}
	errTargetForm  = &Error{400, "the target has no form that fits the method"}
	errTargetLong  = &Error{414, "the target is too long"}
	errBareLF      = &Error{400, "a line does not end with CR LF"}
	errFold        = &Error{400, "a field goes on in the next line"}
	errFieldName   = &Error{400, "a field's name is no token, or blanks stand before its colon"}
	errFieldValue  = &Error{400, "a field's value holds a control character"}
	errHeadLarge   = &Error{431, "the header is too large"}
	errHeadMany    = &Error{431, "the header has too many fields"}
	errHeadBusy    = &Error{503, "too many large headers at once"}
	errHost        = &Error{400, "there is not exactly one valid Host"}
	errHostDiffers = &Error{400, "the target's host is not that of the Host field"}
	errLength      = &Error{400, "Content-Length is not one number of digits"}
	errLengths     = &Error{400, "there is more than one Content-Length"}
	errBothFrames  = &Error{400, "there is a Content-Length beside a Transfer-Encoding"}
	errCoding      = &Error{501, "the transfer coding is not chunked"}
	errCodings     = &Error{400, "Transfer-Encoding does not say chunked exactly once"}
	errOldCoding   = &Error{400, "HTTP/1.0 has no Transfer-Encoding"}
	errExpect      = &Error{417, "the expectation is not 100-continue"}
	errConnect     = &Error{501, "CONNECT is not served"}
	errConnection  = &Error{400, "Connection is no list of tokens"}
	errStatusLine  = &Error{502, "the status line is none of HTTP/1.1"}
	errSwitch      = &Error{502, "the protocol was switched without being asked"}
	errInterim     = &Error{502, "too many interim answers"}
)

// Refusals of a body.
var (
	errChunkSize  = &Error{400, "a chunk's size is not a hexadecimal number in bounds"}
	errChunkExt   = &Error{400, "a chunk's extension is too long or holds a control character"}
	errChunkEnd   = &Error{400, "a chunk does not end with CR LF"}
	errChunkWaste = &Error{400, "the chunks hold more framing than data"}
	errTrailer    = &Error{400, "a trailer is malformed or too long"}

	// ErrBodyTooLarge: the body is longer than the limit.
	ErrBodyTooLarge = &Error{413, "the body is too large"}
	// ErrTimeout: the other side took too long.
	ErrTimeout = &Error{408, "the other side took too long"}
)

// Errors of a connection.
var (
	// ErrServerClosed is what Serve returns after Shutdown or Close.
	ErrServerClosed = errors.New("http1: the server is closed")
	// ErrUnavailable: the target failed again and again a moment ago and is left alone.
	ErrUnavailable = errors.New("http1: the target is failing and is not asked for a moment")
	// ErrBusy: every connection that the target may have is taken.
	ErrBusy = errors.New("http1: too many requests to the target at once")
	// ErrField: a field of a call cannot be sent.
	ErrField = errors.New("http1: a field holds what may not be sent")

	errLength2  = errors.New("http1: more was written than the length that was announced")
	errBodyDone = errors.New("http1: the body was read after its request was over")
)

// statusLine is the first line of an answer. The reason is empty where nobody knows one.
func appendStatus(b []byte, status int) []byte {
	b = append(b, "HTTP/1.1 "...)
	if status == 200 {
		return append(b, "200 OK\r\n"...)
	}
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, ' ')
	return append(append(b, statusText(status)...), '\r', '\n')
}
