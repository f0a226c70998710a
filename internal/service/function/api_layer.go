package function

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"moat/internal/pure/lazyregexp"
	"moat/internal/store"
	"moat/internal/wire"
	"moat/internal/wire/lambdaapi"
)

// layerName takes apart the name or the ARN of a layer, with or without its version.
var layerName = lazyregexp.New(`^(?:arn:aws[a-zA-Z-]*:lambda:([a-z]{2}[a-z-]*-\d):(\d{12}):layer:)?([a-zA-Z0-9-_]{1,140})(?::(\d+))?$`)

func (l *LayerVersion) arn() string {
	return "arn:aws:lambda:" + l.Region + ":" + l.Account + ":layer:" + l.Name
}

func (l *LayerVersion) versionARN() string { return l.arn() + ":" + strconv.FormatInt(l.Number, 10) }

// PublishLayerVersion keeps a zip file as the next version of a layer.
func (s *Service) PublishLayerVersion(ctx context.Context, in *lambdaapi.PublishLayerVersionRequest) (*lambdaapi.PublishLayerVersionResponse, error) {
	c := s.call(ctx)
	name, ok := ownLayer(c, in.LayerName)
	if !ok {
		return nil, invalid("Invalid layer name: " + in.LayerName)
	}
	if in.Content == nil || wire.Value(in.Content.S3Bucket) != "" {
		return nil, wire.NotImplementedBecause("lambda", "PublishLayerVersion", "code in an S3 bucket is not built; send it as ZipFile")
	}
	if len(in.Content.ZipFile) == 0 {
		return nil, invalid("Please provide a source for layer code.")
	}
	sum, err := s.code.put(in.Content.ZipFile)
	if err != nil {
		return nil, err
	}
	l := LayerVersion{
		Account: c.Account, Region: c.Region, Name: name, Description: wire.Value(in.Description), License: wire.Value(in.LicenseInfo),
		CodeSHA256: sum, CodeSize: int64(len(in.Content.ZipFile)), CreatedAt: s.cfg.Now().UTC(),
	}
	for _, a := range in.CompatibleArchitectures {
		l.Architectures = append(l.Architectures, string(a))
	}
	for _, r := range in.CompatibleRuntimes {
		l.Runtimes = append(l.Runtimes, string(r))
	}
	err = s.db.Update(ctx, func(tx *store.Tx) error {
		last, err := s.tables.layers.List(tx, store.Query{Prefix: []string{l.Account, l.Region, l.Name}, Reverse: true, Limit: 1})
		if err != nil {
			return err
		}
		l.Number = 1
		if len(last) > 0 {
			l.Number = last[0].Number + 1
		}
		return s.tables.layers.Insert(tx, l)
	})
	if err != nil {
		return nil, err
	}
	d, err := s.describeLayer(&l)
	if err != nil {
		return nil, err
	}
	out := lambdaapi.PublishLayerVersionResponse(*d)
	return &out, nil
}

func (s *Service) describeLayer(l *LayerVersion) (*lambdaapi.GetLayerVersionResponse, error) {
	location, err := s.codeLocation(l.CodeSHA256)
	if err != nil {
		return nil, err
	}
	item := l.item()
	return &lambdaapi.GetLayerVersionResponse{
		CompatibleArchitectures: item.CompatibleArchitectures, CompatibleRuntimes: item.CompatibleRuntimes,
		Content:     &lambdaapi.LayerVersionContentOutput{CodeSha256: &l.CodeSHA256, CodeSize: &l.CodeSize, Location: &location},
		CreatedDate: item.CreatedDate, Description: &l.Description, LayerArn: wire.String(l.arn()),
		LayerVersionArn: item.LayerVersionArn, LicenseInfo: item.LicenseInfo, Version: item.Version,
	}, nil
}

func (l *LayerVersion) item() lambdaapi.LayerVersionsListItem {
	out := lambdaapi.LayerVersionsListItem{
		CompatibleArchitectures: []lambdaapi.Architecture{}, CompatibleRuntimes: []lambdaapi.Runtime{},
		CreatedDate: wire.String(l.CreatedAt.UTC().Format(timestamp)), Description: &l.Description,
		LayerVersionArn: wire.String(l.versionARN()), Version: &l.Number,
	}
	if l.License != "" {
		out.LicenseInfo = &l.License
	}
	for _, a := range l.Architectures {
		out.CompatibleArchitectures = append(out.CompatibleArchitectures, lambdaapi.Architecture(a))
	}
	for _, r := range l.Runtimes {
		out.CompatibleRuntimes = append(out.CompatibleRuntimes, lambdaapi.Runtime(r))
	}
	return out
}

// layer finds a version of a layer that is not deleted.
func (s *Service) layer(tx *store.Tx, account, region, name string, number int64) (LayerVersion, error) {
	l, err := s.tables.layers.Get(tx, account, region, name, padded(strconv.FormatInt(number, 10)))
	if err == nil && l.Deleted {
		err = store.ErrNotFound
	}
	return l, err
}

// layerByARN finds the layer that a function is to use.
func (s *Service) layerByARN(tx *store.Tx, arn, region string) (LayerVersion, error) {
	m := layerName.FindStringSubmatch(arn)
	if m == nil || m[1] == "" || m[4] == "" {
		return LayerVersion{}, invalid("Layer version " + arn + " does not exist.")
	}
	if m[1] != region {
		return LayerVersion{}, invalid("Layers are not in the same region as the function. Layers are expected to be in region " + region + ".")
	}
	number, err := strconv.ParseInt(m[4], 10, 64)
	if err != nil {
		return LayerVersion{}, invalid("Layer version " + arn + " does not exist.")
	}
	l, err := s.layer(tx, m[2], m[1], m[3], number)
	if errors.Is(err, store.ErrNotFound) {
		return l, invalid("Layer version " + arn + " does not exist.")
	}
	return l, err
}

// GetLayerVersion describes a version of a layer.
func (s *Service) GetLayerVersion(ctx context.Context, in *lambdaapi.GetLayerVersionRequest) (*lambdaapi.GetLayerVersionResponse, error) {
	c := s.call(ctx)
	if in.VersionNumber < 1 {
		return nil, invalid("Layer Version Cannot be less than 1")
	}
	name, ok := ownLayer(c, in.LayerName)
	if !ok {
		return nil, notFound("The resource you requested does not exist.")
	}
	return s.getLayer(ctx, c.Account, c.Region, name, in.VersionNumber)
}

func (s *Service) getLayer(ctx context.Context, account, region, name string, number int64) (*lambdaapi.GetLayerVersionResponse, error) {
	var l LayerVersion
	err := s.db.View(ctx, func(tx *store.Tx) error {
		var err error
		l, err = s.layer(tx, account, region, name, number)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("The resource you requested does not exist.")
	}
	if err != nil {
		return nil, err
	}
	return s.describeLayer(&l)
}

// GetLayerVersionByArn describes the version of a layer that an ARN names.
func (s *Service) GetLayerVersionByArn(ctx context.Context, in *lambdaapi.GetLayerVersionByArnRequest) (*lambdaapi.GetLayerVersionResponse, error) {
	c := s.call(ctx)
	m := layerName.FindStringSubmatch(in.Arn)
	if m == nil || m[4] == "" || m[1] != c.Region || m[2] != c.Account {
		return nil, notFound("The resource you requested does not exist.")
	}
	number, err := strconv.ParseInt(m[4], 10, 64)
	if err != nil {
		return nil, notFound("The resource you requested does not exist.")
	}
	return s.getLayer(ctx, m[2], m[1], m[3], number)
}

// DeleteLayerVersion deletes a version of a layer. Functions that use it keep it.
func (s *Service) DeleteLayerVersion(ctx context.Context, in *lambdaapi.DeleteLayerVersionRequest) (*lambdaapi.DeleteLayerVersionOutput, error) {
	c := s.call(ctx)
	if in.VersionNumber < 1 {
		return nil, invalid("Layer Version Cannot be less than 1")
	}
	name, ok := ownLayer(c, in.LayerName)
	if !ok {
		return &lambdaapi.DeleteLayerVersionOutput{}, nil
	}
	err := s.db.Update(ctx, func(tx *store.Tx) error {
		l, err := s.layer(tx, c.Account, c.Region, name, in.VersionNumber)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		l.Deleted = true
		return s.tables.layers.Put(tx, l)
	})
	if err != nil {
		return nil, err
	}
	return &lambdaapi.DeleteLayerVersionOutput{}, nil
}

// ListLayerVersions lists the versions of a layer, the newest first.
func (s *Service) ListLayerVersions(ctx context.Context, in *lambdaapi.ListLayerVersionsRequest) (*lambdaapi.ListLayerVersionsResponse, error) {
	c := s.call(ctx)
	out := &lambdaapi.ListLayerVersionsResponse{LayerVersions: []lambdaapi.LayerVersionsListItem{}}
	name, ok := ownLayer(c, in.LayerName)
	if !ok {
		return out, nil
	}
	list, err := s.layersOf(ctx, c.Account, c.Region, name)
	for i := range list {
		if l := &list[i]; l.fits(in.CompatibleRuntime, in.CompatibleArchitecture) {
			out.LayerVersions = append(out.LayerVersions, l.item())
		}
	}
	slices.Reverse(out.LayerVersions)
	return out, err
}

// ListLayers lists the layers, each with its newest version.
func (s *Service) ListLayers(ctx context.Context, in *lambdaapi.ListLayersRequest) (*lambdaapi.ListLayersResponse, error) {
	c := s.call(ctx)
	out := &lambdaapi.ListLayersResponse{Layers: []lambdaapi.LayersListItem{}}
	list, err := s.layersOf(ctx, c.Account, c.Region)
	for i := range list {
		l := &list[i]
		if !l.fits(in.CompatibleRuntime, in.CompatibleArchitecture) {
			continue
		}
		item := l.item()
		entry := lambdaapi.LayersListItem{LayerName: &l.Name, LayerArn: wire.String(l.arn()), LatestMatchingVersion: &item}
		if n := len(out.Layers); n > 0 && wire.Value(out.Layers[n-1].LayerName) == l.Name {
			out.Layers[n-1] = entry
		} else {
			out.Layers = append(out.Layers, entry)
		}
	}
	return out, err
}

func (s *Service) layersOf(ctx context.Context, prefix ...string) (list []LayerVersion, err error) {
	err = s.db.View(ctx, func(tx *store.Tx) error {
		list, err = s.tables.layers.List(tx, store.Query{Prefix: prefix})
		return err
	})
	return slices.DeleteFunc(list, func(l LayerVersion) bool { return l.Deleted }), err
}

func (l *LayerVersion) fits(r lambdaapi.Runtime, a lambdaapi.Architecture) bool {
	return (r == "" || slices.Contains(l.Runtimes, string(r))) && (a == "" || slices.Contains(l.Architectures, string(a)))
}

// layerResource gives the ARN that a call about a layer is authorised on: always the one
// spelling that policies know, whatever spelling of it the call used.
func layerResource(account, region, name string, version int64) string {
	m := layerName.FindStringSubmatch(name)
	if m == nil {
		return name // refused later
	}
	l := LayerVersion{Account: account, Region: region, Name: m[3], Number: version}
	if m[1] != "" {
		l.Region, l.Account = m[1], m[2]
	}
	if version == 0 && m[4] != "" {
		return l.arn() + ":" + m[4]
	}
	if version > 0 {
		return l.versionARN()
	}
	return l.arn()
}

// ownLayer reads the name of a layer, or its ARN in this account and region. Whoever is
// allowed something elsewhere must not get it here.
func ownLayer(c *wire.Call, name string) (string, bool) {
	m := layerName.FindStringSubmatch(name)
	if m == nil || m[4] != "" || m[1] != "" && (m[1] != c.Region || m[2] != c.Account) {
		return "", false
	}
	return m[3], true
}
