package userpool

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"golang.org/x/text/unicode/norm"
)

// challengeForm begins a challenge as it is sealed. One of another form, which an older or a newer
// Moat has sealed, is refused: the sign-in begins anew.
const challengeForm = 1

// challengeRest is what few challenges have.
type challengeRest struct {
	Custom  []customStep
	Private map[string]string
}

// The parts of a challenge. Those of who depend on whether the user exists.
func (ch *challenge) flags() [3]*bool { return [...]*bool{&ch.Known, &ch.Ready, &ch.NewPassword} }

func (ch *challenge) texts() [12]*string {
	return [...]*string{
		(*string)(&ch.Kind), (*string)(&ch.Flow), &ch.ID, &ch.Pool, &ch.Client, &ch.Name, &ch.Login, &ch.Metadata,
		&ch.Device, &ch.Mailbox, &ch.Event, &ch.Risk,
	}
}

func (ch *challenge) bytes() [5]*[]byte {
	return [...]*[]byte{&ch.Seed, &ch.A, &ch.U, &ch.B, &ch.Nonce}
}

func (ch *challenge) who() [3]*string { return [...]*string{&ch.User, &ch.PasswordID, &ch.Sub} }

// whoRoom is more than who takes, be it somebody, whose key is his name folded and who has two UUIDs, or
// nobody, whose key is of a fixed length. What folding adds to a name beside its normal form is
// less than that again.
func (ch *challenge) whoRoom() int {
	const keyOfNobody, uuid, lengths = 65, 36, 2 + 1 + 1
	return keyOfNobody + 2*uuid + lengths + 2*len(norm.NFKC.String(ch.Name))
}

// append writes a challenge as a client is to carry it, sealed. Who comes last, and what follows it fills its
// room: the length of what is sealed does not tell whether the user exists.
func (ch *challenge) append(b []byte) ([]byte, error) {
	b = append(b, challengeForm)
	for _, set := range ch.flags() {
		bit := byte(0)
		if *set {
			bit = 1
		}
		b = append(b, bit)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(ch.ExpiresAt.UnixNano()))
	for _, text := range ch.texts() {
		b = appendSized(b, *text)
	}
	for _, raw := range ch.bytes() {
		b = appendSized(b, *raw)
	}
	b = binary.AppendUvarint(b, uint64(len(ch.Proven)))
	for _, f := range ch.Proven {
		b = appendSized(b, f)
	}
	var rest []byte
	if ch.Custom != nil || ch.Private != nil {
		var err error
		if rest, err = json.Marshal(challengeRest{ch.Custom, ch.Private}); err != nil {
			return nil, err
		}
	}
	b = appendSized(b, rest)
	end := len(b) + ch.whoRoom()
	for _, text := range ch.who() {
		b = appendSized(b, *text)
	}
	if end > len(b) {
		b = slices.Grow(b, end-len(b))
		clear(b[len(b):end])
		b = b[:end]
	}
	return b, nil
}

func appendSized[T ~string | ~[]byte](b []byte, v T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// read reads what append wrote; false for anything else. What is empty is read as nil.
func (ch *challenge) read(raw []byte) bool {
	flags := ch.flags()
	if len(raw) < 1+len(flags)+8 || raw[0] != challengeForm {
		return false
	}
	for i, set := range flags {
		*set = raw[1+i] == 1
	}
	raw = raw[1+len(flags):]
	ch.ExpiresAt = time.Unix(0, int64(binary.BigEndian.Uint64(raw))).UTC()
	r := sizedReader{left: string(raw[8:])}
	for _, text := range ch.texts() {
		*text = r.text()
	}
	for _, to := range ch.bytes() {
		*to = r.bytes()
	}
	for range r.number() {
		ch.Proven = append(ch.Proven, factor(r.text()))
	}
	if more := r.bytes(); more != nil {
		var rest challengeRest
		r.bad = r.bad || json.Unmarshal(more, &rest) != nil
		ch.Custom, ch.Private = rest.Custom, rest.Private
	}
	for _, text := range ch.who() {
		*text = r.text()
	}
	return !r.bad
}

// sizedReader reads what appendSized wrote. What is too short is bad, and all that is read of it then is empty.
type sizedReader struct {
	left string
	bad  bool
}

// number reads a number, of bytes or of what has bytes, and so no larger than what is left.
func (r *sizedReader) number() int {
	var n uint64
	for i, shift := 0, 0; ; i, shift = i+1, shift+7 {
		if i == len(r.left) || shift > 28 {
			r.bad, r.left = true, ""
			return 0
		}
		n |= uint64(r.left[i]&0x7f) << shift
		if r.left[i] < 0x80 {
			r.left = r.left[i+1:]
			break
		}
	}
	if n > uint64(len(r.left)) {
		r.bad, r.left = true, ""
		return 0
	}
	return int(n)
}

func (r *sizedReader) text() string {
	n := r.number()
	text := r.left[:n]
	r.left = r.left[n:]
	return text
}

func (r *sizedReader) bytes() []byte {
	if text := r.text(); text != "" {
		return []byte(text)
	}
	return nil
}
