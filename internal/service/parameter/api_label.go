package parameter

import (
	"context"
	"strconv"
	"strings"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/ssmapi"
)

const (
	maxLabels      = 10
	maxLabelLength = 100
)

func validLabel(label string) bool {
	lower := strings.ToLower(label)
	return labelPattern.MatchString(label) && len(label) <= maxLabelLength && !strings.HasPrefix(lower, "aws") && !strings.HasPrefix(lower, "ssm")
}

// LabelParameterVersion attaches labels to a version, the newest when none is
// given; a label moves from the version that had it. Unfit labels are listed.
func (s *Service) LabelParameterVersion(ctx context.Context, in *api.LabelParameterVersionRequest) (*api.LabelParameterVersionResult, error) {
	out := &api.LabelParameterVersionResult{}
	err := s.onVersion(ctx, in.Name, in.ParameterVersion, func(p *Parameter, n int64) error {
		*out = api.LabelParameterVersionResult{InvalidLabels: []string{}, ParameterVersion: wire.Int64(n)}
		if p.Labels == nil {
			p.Labels = map[string]int64{}
		}
		for _, label := range in.Labels {
			if validLabel(label) {
				p.Labels[label] = n
			} else {
				out.InvalidLabels = append(out.InvalidLabels, label)
			}
		}
		attached := 0
		for _, at := range p.Labels {
			if at == n {
				attached++
			}
		}
		if attached > maxLabels {
			return &api.ParameterVersionLabelLimitExceeded{Message: "A parameter version can have maximum 10 labels.Move one or more labels to another version and try again."}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// UnlabelParameterVersion removes labels from a version; those that it does not
// have are listed as invalid.
func (s *Service) UnlabelParameterVersion(ctx context.Context, in *api.UnlabelParameterVersionRequest) (*api.UnlabelParameterVersionResult, error) {
	out := &api.UnlabelParameterVersionResult{}
	err := s.onVersion(ctx, in.Name, &in.ParameterVersion, func(p *Parameter, n int64) error {
		*out = api.UnlabelParameterVersionResult{RemovedLabels: []string{}, InvalidLabels: []string{}}
		for _, label := range in.Labels {
			if at, ok := p.Labels[label]; ok && at == n {
				delete(p.Labels, label)
				out.RemovedLabels = append(out.RemovedLabels, label)
			} else {
				out.InvalidLabels = append(out.InvalidLabels, label)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// onVersion changes a parameter with regard to one of its versions.
func (s *Service) onVersion(ctx context.Context, name string, version *int64, change func(p *Parameter, n int64) error) error {
	c := wire.CallFrom(ctx)
	r, err := s.parseReference(c, name)
	if err != nil {
		return err
	}
	return s.db.Update(ctx, func(tx *store.Tx) error {
		p, err := s.whole(tx, c.Region, r)
		if err != nil {
			return err
		}
		n := p.Number
		if version != nil {
			n = *version
		}
		if n < p.Oldest || n > p.Number {
			return versionNotFound(strconv.FormatInt(n, 10), p.Name)
		}
		if err := change(&p, n); err != nil {
			return err
		}
		return s.parameters.Put(tx, p)
	})
}
