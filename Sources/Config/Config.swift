// YAML documents to what Lanes needs. In the order things happen:
//
//   Reading/    paths and bytes to YAML trees with lines, and typed reading of their fields
//   Documents/  one file a kind: the fields it has, their validation, the typed value
//   Registry/   services, endpoints, pods, DestinationRules by host: what names stand for
//   Compile/    one proxy's view: listeners, virtual hosts, routes, clusters, lanes (`RoutingModel`)
//   Analyze/    one file an analyzer: what is legal but will not do what its author meant
//
// Nothing here is on the request path. Nothing here stops at the first mistake: everything wrong is a
// `Finding`, and the model is withheld only when an object is one that an API server would refuse.
