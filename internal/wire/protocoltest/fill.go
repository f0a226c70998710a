package protocoltest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"time"
	"unicode"
)

// Fill returns a pointer to a new value of structure type t with the members
// that doc names. The cases write blobs as plain text, times as seconds since
// 1970, and members of trait jsonvalue as the JSON that the string holds.
func Fill(t reflect.Type, doc json.RawMessage) (any, error) {
	v := reflect.New(t)
	if len(doc) == 0 {
		return v.Interface(), nil
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var x any
	if err := d.Decode(&x); err != nil {
		return nil, fmt.Errorf("protocoltest: %w", err)
	}
	if err := fill(v.Elem(), x, false); err != nil {
		return nil, fmt.Errorf("protocoltest: %s: %w", t.Name(), err)
	}
	return v.Interface(), nil
}

func fill(v reflect.Value, x any, asJSON bool) error {
	if x == nil {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return fill(v.Elem(), x, asJSON)
	}
	if v.Type() == reflect.TypeFor[time.Time]() {
		return fillTime(v, x)
	}
	switch x := x.(type) {
	case string:
		return fillString(v, x)
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(x)
			return nil
		}
	case json.Number:
		return fillNumber(v, x)
	case []any:
		if v.Kind() == reflect.Slice {
			return fillSlice(v, x, asJSON)
		}
	case map[string]any:
		switch {
		case v.Kind() == reflect.Struct:
			return fillStruct(v, x)
		case v.Kind() == reflect.Map:
			return fillMap(v, x)
		}
	}
	if asJSON && v.Kind() == reflect.String {
		text, err := json.Marshal(x)
		v.SetString(string(text))
		return err
	}
	return fmt.Errorf("cannot store %T as %s", x, v.Type())
}

func fillTime(v reflect.Value, x any) error {
	n, ok := x.(json.Number)
	if !ok {
		return fmt.Errorf("cannot store %T as a time", x)
	}
	f, err := n.Float64()
	whole, part := math.Modf(f)
	v.Set(reflect.ValueOf(time.Unix(int64(whole), int64(math.Round(part*1e3))*1e6).UTC()))
	return err
}

func fillString(v reflect.Value, s string) error {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(s)
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes([]byte(s))
	case v.Kind() == reflect.Float64 && strings.Contains("NaN Infinity -Infinity", s):
		v.SetFloat(map[string]float64{"NaN": math.NaN(), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1)}[s])
	default:
		return fmt.Errorf("cannot store %q as %s", s, v.Type())
	}
	return nil
}

func fillNumber(v reflect.Value, n json.Number) error {
	switch v.Kind() {
	case reflect.Int32, reflect.Int64:
		i, err := n.Int64()
		v.SetInt(i)
		return err
	case reflect.Float64:
		f, err := n.Float64()
		v.SetFloat(f)
		return err
	}
	return fmt.Errorf("cannot store %s as %s", n, v.Type())
}

func fillSlice(v reflect.Value, list []any, asJSON bool) error {
	v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
	for i, x := range list {
		if err := fill(v.Index(i), x, asJSON); err != nil {
			return err
		}
	}
	return nil
}

func fillMap(v reflect.Value, m map[string]any) error {
	v.Set(reflect.MakeMap(v.Type()))
	for k, x := range m {
		e := reflect.New(v.Type().Elem()).Elem()
		if err := fill(e, x, false); err != nil {
			return err
		}
		v.SetMapIndex(reflect.ValueOf(k), e)
	}
	return nil
}

func fillStruct(v reflect.Value, m map[string]any) error {
	for name, x := range m {
		r := []rune(name)
		r[0] = unicode.ToUpper(r[0])
		f, ok := v.Type().FieldByName(string(r))
		if !ok {
			return fmt.Errorf("no member %s", name)
		}
		tag := "," + f.Tag.Get("aws") + ","
		if err := fill(v.FieldByIndex(f.Index), x, strings.Contains(tag, ",json,")); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
