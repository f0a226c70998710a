package main

import (
	"reflect"
	"strconv"
	"strings"
	"unicode"
)

// visible writes out what would act on a terminal instead of being seen: control
// characters, which move the cursor or hide what stands before, and those that turn the
// direction of reading. Names, sentences and policies that others chose go through it.
func visible(s string) string {
	acts := func(r rune) bool {
		return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029')
	}
	if !strings.ContainsFunc(s, acts) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if acts(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// makeVisible applies visible to every text that v, a pointer, leads to.
func makeVisible(v any) { makeValueVisible(reflect.ValueOf(v)) }

func makeValueVisible(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			makeValueVisible(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			makeValueVisible(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			makeValueVisible(v.Index(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			if e := v.MapIndex(k); e.Kind() == reflect.String {
				v.SetMapIndex(k, reflect.ValueOf(visible(e.String())).Convert(e.Type()))
			}
		}
	case reflect.String:
		if v.CanSet() {
			v.SetString(visible(v.String()))
		}
	}
}
