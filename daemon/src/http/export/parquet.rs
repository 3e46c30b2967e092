//! Parquet, by the low-level column writer: all columns optional, uncompressed, a row group per few thousand trials.

use std::{
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{LogicalType, Repetition, TimeUnit, Type as Physical},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::Type,
};

use super::{
    Trials,
    columns::{self, Cell, Column, Kind},
};

/// Rows of a group.
const GROUP: usize = 4096;

fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(io) => *io,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

/// Writes all trials.
pub(super) fn write(mut trials: Trials, out: &mut (impl Write + Send)) -> io::Result<()> {
    let columns = trials.study(columns::of)?;
    let schema = Arc::new(schema(&columns).map_err(failed)?);
    let properties = WriterProperties::builder().set_created_by("metaopt".to_owned()).build();
    let mut writer = SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(failed)?;
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    loop {
        let batch = trials.next(|node, study, trial| columns.iter().map(|c| c.cell(node, study, trial)).collect())?;
        let last = batch.is_empty();
        rows.extend(batch);
        if rows.len() >= GROUP || (last && !rows.is_empty()) {
            group(&mut writer, &columns, &rows).map_err(failed)?;
            rows.clear();
        }
        if last {
            writer.close().map_err(failed)?;
            return Ok(());
        }
    }
}

fn schema(columns: &[Column]) -> Result<Type, ParquetError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.kind {
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Int => (Physical::INT64, None),
            Kind::Float => (Physical::DOUBLE, None),
            Kind::Bool => (Physical::BOOLEAN, None),
            Kind::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MILLIS))),
        };
        let primitive = Type::primitive_type_builder(&column.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical);
        Ok(Arc::new(primitive.build()?))
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>, ParquetError>>()?;
    Type::group_type_builder("trial").with_fields(fields).build()
}

fn group<W: Write + Send>(
    writer: &mut SerializedFileWriter<W>,
    columns: &[Column],
    rows: &[Vec<Cell>],
) -> Result<(), ParquetError> {
    let mut group = writer.next_row_group()?;
    let mut i = 0;
    while let Some(mut column) = group.next_column()? {
        if i >= columns.len() {
            return Err(ParquetError::General("the file has more columns than the table".into()));
        }
        let levels: Vec<i16> = rows.iter().map(|row| i16::from(row[i] != Cell::Null)).collect();
        let cells = || rows.iter().map(|row| &row[i]);
        match column.untyped() {
            ColumnWriter::BoolColumnWriter(out) => {
                let values: Vec<bool> =
                    cells().filter_map(|c| if let Cell::Bool(b) = c { Some(*b) } else { None }).collect();
                out.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::Int64ColumnWriter(out) => {
                let whole = |c: &Cell| match c {
                    Cell::Int(n) => Some(*n),
                    Cell::Time(ms) => Some(i64::try_from(*ms).unwrap_or(i64::MAX)),
                    _ => None,
                };
                let values: Vec<i64> = cells().filter_map(whole).collect();
                out.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::DoubleColumnWriter(out) => {
                let values: Vec<f64> =
                    cells().filter_map(|c| if let Cell::Float(n) = c { Some(*n) } else { None }).collect();
                out.write_batch(&values, Some(&levels), None)?;
            }
            ColumnWriter::ByteArrayColumnWriter(out) => {
                let text = |c: &Cell| if let Cell::Text(t) = c { Some(ByteArray::from(t.as_str())) } else { None };
                let values: Vec<ByteArray> = cells().filter_map(text).collect();
                out.write_batch(&values, Some(&levels), None)?;
            }
            _ => return Err(ParquetError::General("a column of a type that no table has".into())),
        }
        column.close()?;
        i += 1;
    }
    group.close()?;
    Ok(())
}
