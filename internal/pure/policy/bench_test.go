package policy

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// grants are n statements, each for another bucket of its team, with a
// condition; the one that allows the request stands in the middle. Every tenth
// is a Deny that does not apply.
func grants(n int) []string {
	out := make([]string, n)
	for i := range out {
		effect := "Allow"
		if i%10 == 9 {
			effect = "Deny"
		}
		out[i] = fmt.Sprintf(`{"Sid":"S%d","Effect":%q,"Action":["s3:GetObject","s3:List*"],"Resource":["arn:aws:s3:::team-%d/*","arn:aws:s3:::shared/%d/*"],
			"Condition":{"StringEquals":{"aws:PrincipalTag/team":"red"}}}`, i, effect, i, i)
	}
	return out
}

func grantRequest(n int) *Request {
	middle := strconv.Itoa(n/20*10 + 5) // never a Deny
	return &Request{Principal: alice, Action: "s3:GetObject", Resource: "arn:aws:s3:::team-" + middle + "/reports/2026/q1.csv", Context: Context{"aws:sourceip": {"10.1.1.1"}}}
}

func BenchmarkEvaluate(b *testing.B) {
	for _, n := range []int{1, 10, 1000, 10_000} {
		one := parse(b, "p", strings.Join(grants(n), ","))
		var many []*Document
		for i, s := range grants(n) {
			many = append(many, parse(b, "p"+strconv.Itoa(i), s))
		}
		for name, p := range map[string]*Policies{"one document": {Identity: list(one)}, "joined": {Identity: list(Join(many...))}} {
			req := grantRequest(n)
			if n == 1 {
				req.Resource = "arn:aws:s3:::team-0/reports/2026/q1.csv"
			}
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if !Evaluate(req, p).Allowed {
						b.Fatal("refused")
					}
				}
			})
			refused := *req
			refused.Resource = "arn:aws:s3:::nobody/x"
			b.Run(fmt.Sprintf("%s/%d/refused", name, n), func(b *testing.B) {
				for b.Loop() {
					if Evaluate(&refused, p).Allowed {
						b.Fatal("allowed")
					}
				}
			})
		}
	}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 10, 1000} {
		doc := []byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(grants(n), ",") + `]}`)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse("p", doc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
