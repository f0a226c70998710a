package trail

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/wire"
	"moat/internal/wire/cognitoidpapi"
)

// dice fills values at random, with texts that JSON has a say in.
type dice struct{ *rand.Rand }

var syllables = []string{
	"", "a", "token", "Pass-word", "\x00\x1f\x7f", `"\/`, "\b\f\n\r\t", "<script>&", "\u2028\u2029", "\xff\xc0\xed\xa0\x80", "ü\U0001F600\u212a", "variables/", "/value", strings.Repeat("plain ", 9),
}

func (d *dice) text() string {
	var b strings.Builder
	for range d.IntN(4) {
		b.WriteString(syllables[d.IntN(len(syllables))])
	}
	return b.String()
}

func (d *dice) fill(v reflect.Value, depth int) {
	if d.IntN(4) == 0 || depth > 40 {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.fill(v.Elem(), depth+1)
	case reflect.String:
		v.SetString(d.text())
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(int32(d.Uint32())))
	case reflect.Float64:
		v.SetFloat(d.NormFloat64() * 1e6)
	case reflect.Struct:
		if v.Type() == timeType {
			v.Set(reflect.ValueOf(time.Unix(d.Int64N(1<<33), 5).In(time.FixedZone("", 3600))))
			return
		}
		for i := range v.NumField() {
			d.fill(v.Field(i), depth+1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(d.text()))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), d.IntN(4), 4))
		for i := range v.Len() {
			d.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range d.IntN(20) {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			d.fill(key, depth+1)
			d.fill(value, depth+1)
			v.SetMapIndex(key, value)
		}
	}
}

// plainWrite is what [encoder.write] appends, by way of encoding/json.
func plainWrite(v reflect.Value, depth int) any {
	switch {
	case depth > maxDepth:
		return hidden
	case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plainWrite(v.Elem(), depth)
	case v.Type() == timeType:
		return v.Interface().(time.Time).UTC().Format(time.RFC3339)
	case v.Kind() == reflect.Struct:
		return plainStruct(v, depth)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return hidden
	case v.Kind() == reflect.Slice:
		out := make([]any, v.Len())
		for i := range out {
			out[i] = plainWrite(v.Index(i), depth+1)
		}
		return out
	case v.Kind() == reflect.Map:
		out := map[string]any{}
		for _, k := range v.MapKeys() {
			out[k.String()] = hidden
			if !secretName(k.String()) {
				out[k.String()] = plainWrite(v.MapIndex(k), depth+1)
			}
		}
		return out
	}
	return v.Interface()
}

func plainStruct(v reflect.Value, depth int) any {
	out := map[string]any{}
	for i := range v.NumField() {
		f, x := v.Type().Field(i), v.Field(i)
		number := x.Kind() >= reflect.Bool && x.Kind() <= reflect.Float64
		tag, ok := f.Tag.Lookup("aws")
		switch {
		case !ok || x.IsZero() && !number: // not given
		case slices.Contains(strings.Split(tag, ","), "sensitive") || secret(v.Type().Name(), f):
			out[lowerFirst(f.Name)] = hidden
		default:
			out[lowerFirst(f.Name)] = plainWrite(x, depth+1)
		}
	}
	if path, _ := out["path"].(string); v.Type().Name() == "PatchOperation" {
		if path = strings.TrimPrefix(path, "/"); strings.HasPrefix(path, "variables") || strings.HasPrefix(path, "value") {
			out["value"] = hidden
		}
	}
	return out
}

// Messages of all operations are written as encoding/json writes them.
func TestMessage_plain(t *testing.T) {
	t.Parallel()
	c, d := encoder{}, dice{rand.New(rand.NewPCG(1, 2))}
	for _, api := range contracts() {
		for _, op := range api.Operations {
			for _, message := range []reflect.Type{op.Input, op.Output} {
				for range 5 {
					m := reflect.New(message)
					d.fill(m.Elem(), 0)
					want, err := json.Marshal(plainWrite(m.Elem(), 0))
					if err != nil {
						t.Fatal(err)
					}
					if string(want) == "{}" {
						want = []byte("null")
					}
					if len(want) > maxMessage {
						want = marshal(map[string]any{"omitted": true, "originalSize": len(want), "reasonForOmission": "the event record would be too long"})
					}
					if got := c.message([]byte("x"), m.Interface()); string(got) != "x"+string(want) {
						t.Fatalf("%s %s:\ngot  %s\nwant x%s", api.Endpoint, op.Name, got, want)
					}
				}
			}
		}
	}
}

// Names are secret however they are written, and as long as they like.
func TestSecretName(t *testing.T) {
	t.Parallel()
	d := dice{rand.New(rand.NewPCG(3, 4))}
	for range 2000 {
		name := d.text()
		plain := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
		if got := string(folded(nil, name)); got != plain {
			t.Fatalf("%q: got %q, want %q", name, got, plain)
		}
	}
	for name, want := range map[string]bool{
		"NEW_PASSWORD": true, "Pass-Phrase": true, "x_To\u212aen": true, strings.Repeat("x", 200) + "secret": true, "SESSION": true, "SMS_MFA_CODE": true, "code2": true,
		"sessions": false, "NextToken": false, "SECRET_ARN": false, "codes": false, "": false, "USERNAME": false,
	} {
		if got := secretName(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// Events are written as encoding/json writes them.
func TestEvent_plain(t *testing.T) {
	t.Parallel()
	c, d := encoder{}, dice{rand.New(rand.NewPCG(5, 6))}
	for range 3000 {
		var e Event
		d.fill(reflect.ValueOf(&e).Elem(), 0)
		e.AdditionalEventData.LatencyMS = float64(time.Duration(d.Int64()>>d.IntN(64)).Microseconds()) / 1000
		e.RequestParameters, e.ResponseElements = nil, nil
		if d.IntN(2) == 0 {
			m := &cognitoidpapi.RespondToAuthChallengeRequest{}
			d.fill(reflect.ValueOf(m).Elem(), 0)
			e.RequestParameters = c.message(nil, m)
			e.ResponseElements = c.message(nil, &cognitoidpapi.InitiateAuthResponse{ChallengeParameters: m.ClientMetadata})
		}
		want, err := json.Marshal(&e)
		if err != nil {
			t.Fatal(err)
		}
		if got := e.append([]byte("x")); string(got) != "x"+string(want) {
			t.Fatalf("got  %s\nwant x%s", got, want)
		}
	}
}

// signIn is the second request of a sign-in.
func signIn(c *clock) wire.Record {
	r := a(c, "3f0c6a52-6d2e-4f0e-9a53-0a4c1c0f9d11", "RespondToAuthChallenge")
	r.Service, r.Caller, r.AccessKey, r.Checks, r.UserAgent = "cognito-idp", wire.Caller{}, "", nil, "aws-sdk-go-v2/1.30 api/cognitoidentityprovider"
	r.Input = &cognitoidpapi.RespondToAuthChallengeRequest{
		ClientId: "3n4b5urk1ft4fl3mg5e62d9ado", ChallengeName: "PASSWORD_VERIFIER", Session: wire.String("s3cr3t"), ChallengeResponses: map[string]string{
			"USERNAME": "ada", "PASSWORD_CLAIM_SIGNATURE": "c2lnbmF0dXJl", "PASSWORD_CLAIM_SECRET_BLOCK": "s3cr3t", "TIMESTAMP": "Fri Nov 20 12:00:00 UTC 2026",
		},
	}
	r.Output = &cognitoidpapi.RespondToAuthChallengeResponse{AuthenticationResult: &cognitoidpapi.AuthenticationResultType{
		AccessToken: wire.String("s3cr3t"), IdToken: wire.String("s3cr3t"), RefreshToken: wire.String("s3cr3t"), TokenType: wire.String("Bearer"), ExpiresIn: new(int32(3600)),
	}}
	return r
}

// What is made of a sign-in for good is its texts; the rest of its event is memory that is used again.
func TestEvent_allocs(t *testing.T) {
	c := encoder{account: account, random: zeros{}}
	r, room := signIn(newClock()), make([]byte, 0, 8<<10)
	if n := testing.AllocsPerRun(100, func() {
		e, err := c.event(&r)
		if err != nil {
			t.Fatal(err)
		}
		room = e.append(room[:0])
	}); n > 8 {
		t.Errorf("%v allocations", n)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
