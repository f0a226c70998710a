package gateway

// integrate asks the route's integration for the answer.
func integrate(x *Exchange) error {
	x.integrated = true
	began := x.g.cfg.Now()
	err := x.route.serve.serve(x)
	x.integration = x.g.cfg.Now().Sub(began)
	return err
}

// keep takes a field of an integration's answer on: dropped, remapped or as it is.
func (x *Exchange) keep(name, value string) {
	lower := alias(name)
	switch {
	case dropped(lower):
	case remapped(lower):
		x.reply.fields = append(x.reply.fields, Field{"x-amzn-Remapped-" + name, value})
	default:
		x.reply.fields = append(x.reply.fields, Field{name, value})
	}
}
